"""What the bookkeeper knows of ledgers and summaries."""
