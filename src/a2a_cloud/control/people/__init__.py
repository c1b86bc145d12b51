"""People: accounts, what they sign in with, their sessions, and the links that let them in."""
