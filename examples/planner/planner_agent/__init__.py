"""What the planner knows, apart from the platform: what files are, and how answers become a brief."""
