"""Limits: how often, how many at once, how much in a day or month."""
