"""Compliance packs: which runs go into one, what belongs to each, the zip that is sent while it is made."""
