"""Reviews: people's signed verdicts on runs (docs/reviews.md)."""
