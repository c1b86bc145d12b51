"""Replays of recorded runs: docs/replay.md."""
