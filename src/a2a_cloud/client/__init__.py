"""How a program speaks to a platform: where it is, which key is for it, requests, streams."""
