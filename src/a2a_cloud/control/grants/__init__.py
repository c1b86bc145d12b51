"""Grants: their keys, where they come from, whether they still stand, and why they allow what they allow."""
