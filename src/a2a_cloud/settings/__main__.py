"""`python -m a2a_cloud.settings`: what a platform that is started here and now would read, as JSON, for
`a2a config show --here`. What can't be used is told with its remedy, and exit code 1."""

from __future__ import annotations

import json
import os
import sys

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.settings.sources import load


def main() -> int:
    """Print the settings."""
    try:
        settings = load(os.environ)
    except BadSetting as problem:
        print(json.dumps({"problem": problem.detail, "remedy": problem.remedy}))
        return 1
    rows = [one._asdict() for one in settings.told]
    print(json.dumps({"file": str(settings.config or ""), "settings": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
