"""How an agent is named in addresses."""

from __future__ import annotations

from a2a_cloud.model.principal import DEFAULT_ORG
from a2a_cloud.model.release import Release


def qualified(release: Release) -> str:
    """`name` in the default organisation, else `org.name`."""
    return release.name if release.org == DEFAULT_ORG else f"{release.org}.{release.name}"


def numbered(name: str) -> bool:
    """Whether it names a release by its number (`7--name`), as people of the organisation may."""
    number, found, _ = name.partition("--")
    return bool(found) and number.isdigit()  # An agent's own name may have `--`, but begins with a letter.
