"""Deploys: what is weak in a release's card, what it changes for callers, how it differs from another."""
