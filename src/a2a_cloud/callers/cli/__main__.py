"""`python -m a2a_cloud.callers.cli` is `a2a`."""

from a2a_cloud.callers.cli import main

main()
