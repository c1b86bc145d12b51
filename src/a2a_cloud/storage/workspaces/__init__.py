"""Versioned trees over objects: nodes, trees, edits, differences, and the rows of versions."""
