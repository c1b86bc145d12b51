"""What the buyer knows, apart from the platform: its limits, its strategy, the words of the negotiation."""
