"""Webhooks that come in: who made them, the keys in their paths, the signatures of their senders."""
