"""The command line `a2a`. Everything it does is a request that a user could make with curl."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the command `a2a`; exits with one of `exits.Exit`."""
    try:
        from a2a_cloud.callers.cli.root import run
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "a2a_cloud":
            raise
        print(
            f"a2a: {error.name} is not installed: only the authoring kit is here.\n"
            "Install the platform and its command line: pip install 'a2a-cloud[platform]'",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(run(sys.argv[1:]))
