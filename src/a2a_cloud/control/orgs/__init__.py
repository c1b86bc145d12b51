"""Organisations: members, teams, roles, SCIM, and the log of changes."""
