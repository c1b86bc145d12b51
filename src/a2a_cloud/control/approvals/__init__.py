"""Approvals: what a run may not do yet, and who lets it."""
