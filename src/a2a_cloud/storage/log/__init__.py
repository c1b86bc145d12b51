"""The audit logs: leaves, tiles, checkpoints."""
