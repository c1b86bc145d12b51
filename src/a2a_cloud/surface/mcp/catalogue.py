"""All agents that a caller may use, at the platform's own `/mcp`: each skill is the tool `agent.skill`. Where
there are many, a model is not shown them all: it searches, and calls what it found.
"""

from __future__ import annotations

from collections.abc import Sequence

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.release import Release
from a2a_cloud.model.search import Query
from a2a_cloud.surface.accounting_port import Accounting, price_of
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.mcp.offer import Example, Offered, Offers, ResourceSkill, Toolbox, tool_document
from a2a_cloud.surface.search_port import Search
from a2a_cloud.wire.mcp_schema import Json

#: More tools than this are not listed but searched.
MANY = 60
SEARCH_TOOL = "a2a_search"
CALL_TOOL = "a2a_call"
_MOST_FOUND = 25

SEARCH: Json = {
    "name": SEARCH_TOOL,
    "title": "Search tools",
    "description": "Searches the tools of all agents here by what they do: a few words, or a sentence. Call "
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


async def search(
    finder: Search,
    box: Toolbox,
    principal: Principal,
    given: Json,
    *,
    modern: bool,
    accounting: Accounting | None = None,
) -> Json:
    """What the search tool answers: the tools that fit, best first. Raises InvalidParams."""
    query, limit = given.get("query"), given.get("limit")
    if not isinstance(query, str):
        raise InvalidParams(f"{SEARCH_TOOL} needs a query.", info={"field": "arguments"})
    most = limit if isinstance(limit, int) and 1 <= limit <= _MOST_FOUND else 10
    found = await finder.find(Query(query, limit=_MOST_FOUND), principal)
    skills = [(-skill.score, one.release, skill.spec) for one in found.agents for skill in one.skills]
    skills.sort(key=lambda each: each[0])
    offered = [box.of_skill(release, spec.id) for _, release, spec in skills]
    tools = [
        tool_document(one, modern=modern, price=price_of(accounting, one.release, one.spec.id))
        for one in offered
        if one is not None
    ]
    return {"tools": tools[:most]}
