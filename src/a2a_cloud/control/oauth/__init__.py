"""OAuth: clients, the consents that people give them, the tokens that come of it, and whom they stand for."""
