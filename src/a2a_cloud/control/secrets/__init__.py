"""Secrets of organisations: sealed at rest, given to the egress proxy alone."""
