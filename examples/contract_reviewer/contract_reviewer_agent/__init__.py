"""The contract reviewer's own code: plain Python, no platform in it, so that it is tested without one."""
