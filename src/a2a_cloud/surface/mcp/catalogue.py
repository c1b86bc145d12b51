"""All agents that a caller may use, at the platform's own `/mcp`: each skill is the tool `agent.skill`. Where
there are many, a model is not shown them all: it searches, and calls what it found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from a2a_cloud.model.release import Release
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.mcp.offer import Example, Offered, Offers, ResourceSkill, tool_document
from a2a_cloud.wire.mcp_schema import Json

#: More tools than this are not listed but searched.
MANY = 60
SEARCH_TOOL = "a2a_search"
CALL_TOOL = "a2a_call"
_MOST_FOUND = 25
_WORD = re.compile(r"[^\W_]+")

SEARCH: Json = {
    "name": SEARCH_TOOL,
    "title": "Search tools",
    "description": "Searches the tools of all agents here by words of their names and descriptions. Call "
    f"what was found with {CALL_TOOL}.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "A few words, such as: review contract."},
            "limit": {"type": "integer", "minimum": 1, "maximum": _MOST_FOUND, "default": 10},
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    "annotations": {"title": "Search tools", "readOnlyHint": True, "openWorldHint": False},
}
CALL: Json = {
    "name": CALL_TOOL,
    "title": "Call a tool",
    "description": f"Calls a tool that {SEARCH_TOOL} found, with arguments that fit its schema.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Such as contract_reviewer.review."},
            "arguments": {"type": "object"},
        },
        "required": ["name"],
        "additionalProperties": False,
    },
}


class _Found(NamedTuple):
    score: int
    name: str
    offered: Offered


class Catalogue:
    """The toolbox of all agents that somebody sees. Fits Toolbox."""

    __slots__ = ("_examples", "_prompts", "_resources", "_tools", "releases")

    id = "*"
    name = "a2a-cloud"
    title = "a2a cloud"
    version = "1"
    instructions = (
        "Tools are the skills of the agents on this platform, named agent.skill. "
        f"If {SEARCH_TOOL} is among them, search before you say that something can't be done."
    )
    public = False

    def __init__(self, releases: Sequence[Release], offers: Offers) -> None:
        self.releases: Sequence[Release] = sorted(releases, key=qualified)
        self._tools: dict[str, Offered] = {}
        self._prompts: list[Offered] = []
        self._examples: list[Example] = []
        self._resources: list[ResourceSkill] = []
        for release in self.releases:
            agent, offer = qualified(release), offers.of(release)
            for one in offer.tools.values():
                name = f"{agent}.{one.name}"
                self._tools[name] = one._replace(name=name)
            self._prompts += [one._replace(name=f"{agent}.{one.name}") for one in offer.prompts]
            self._examples += [one._replace(name=f"{agent}.{one.name}") for one in offer.examples]
            self._resources += offer.resources

    @property
    def tools(self) -> Sequence[Offered]:
        """See Toolbox."""
        return tuple(self._tools.values())

    @property
    def many(self) -> bool:
        """See Toolbox."""
        return len(self._tools) > MANY

    @property
    def searched(self) -> bool:
        """See Toolbox."""
        return True

    @property
    def examples(self) -> Sequence[Example]:
        """See Toolbox."""
        return self._examples

    @property
    def prompts(self) -> Sequence[Offered]:
        """See Toolbox."""
        return self._prompts

    @property
    def resources(self) -> Sequence[ResourceSkill]:
        """See Toolbox."""
        return self._resources

    def tool(self, name: str) -> Offered | None:
        """See Toolbox."""
        return self._tools.get(name)

    def of_skill(self, release: Release, skill: str) -> Offered | None:
        """See Toolbox."""
        return self._tools.get(f"{qualified(release)}.{skill}")


def search(tools: Sequence[Offered], query: str, limit: int, *, modern: bool) -> list[Json]:
    """The tools that say most of the words, best first: in a name a word counts three times, in a tag
    twice."""
    words = {word.lower() for word in _WORD.findall(query)[:32]}
    found: list[_Found] = []
    for one in tools:
        score = 0
        for text, weight in (
            (f"{one.name} {one.spec.name}", 3),
            (" ".join(one.spec.tags), 2),
            (f"{one.spec.description} {one.release.manifest.description}", 1),
        ):
            has = {word.lower() for word in _WORD.findall(text[:4000])}
            score += weight * sum(1 for word in words if any(_alike(word, other) for other in has))
        if score:
            found.append(_Found(-score, one.name, one))
    found.sort(key=lambda one: one[:2])
    return [tool_document(one.offered, modern=modern) for one in found[:limit]]


def _alike(word: str, other: str) -> bool:
    """`review` finds `reviews` and `reviewer`."""
    return word == other or (len(word) > 3 and other.startswith(word))


def limit_of(value: object) -> int:
    """How many are wanted, within bounds."""
    return value if isinstance(value, int) and 1 <= value <= _MOST_FOUND else 10
