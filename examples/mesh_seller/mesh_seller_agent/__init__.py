"""What the seller knows, apart from the platform: its stock, its strategy, the words of the negotiation."""
