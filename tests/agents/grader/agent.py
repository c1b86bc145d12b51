"""A judge: a greeting is worth all, anything else less."""

from a2a_cloud import skill


@skill
def rate(result: str, prompt: str = "") -> dict:
    """Rate a text from 0 to 1. Does not change it."""
    greets = result.startswith("Hello")
    return {"score": 1 if greets else 0.5, "reason": "it greets" if greets else "it is cold"}
