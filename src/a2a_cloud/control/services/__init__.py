"""Agents' own identities: what signs for them, certificates of an embedded CA, short tokens; keys for
callers who can do nothing but AWS Signature Version 4."""
