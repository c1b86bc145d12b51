"""The authorization server's addresses, and what resources say of it."""
