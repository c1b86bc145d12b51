"""What an agent's release offers to MCP, worked out once: a skill is a tool, unless a tag makes it a prompt
(`mcp:prompt`) or a resource (`mcp:resource=URI`); a skill's examples are prompts too.

`Toolbox` is what the server needs to know of it, so that one agent and a catalogue of many are served alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import unquote

from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.wire.mcp_schema import Json, input_schema, output_schema, wraps

#: Member of a tool's `_meta`: what a call of it costs.
PRICE = "a2a-cloud/price"
_MOST = 1024
_RESOURCE = "mcp:resource="
_REQUIRES = "mcp:requires="
_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Offered(NamedTuple):
    """A skill under the name that a client knows. `wrap`: its result is wrapped to be an object. `task`: "",
    `may` or `must` be a task at once. `requires`: capabilities of a client, without which it isn't called."""

    name: str
    release: Release
    spec: SkillSpec
    wrap: bool
    task: str
    requires: tuple[str, ...]


class Example(NamedTuple):
    """A prompt that is one of a skill's examples."""

    name: str
    title: str
    description: str
    text: str


class ResourceSkill(NamedTuple):
    """A skill that is a resource: `pattern` reads its URI, which is a template if it has variables."""

    uri: str
    offered: Offered
    pattern: re.Pattern[str]
    variables: tuple[str, ...]

    def arguments(self, uri: str) -> dict[str, str] | None:
        """The skill's arguments in that URI, or None for another's."""
        found = self.pattern.fullmatch(uri)
        return None if found is None else {name: unquote(found[name]) for name in self.variables}


class Toolbox(Protocol):
    """What a server at one address offers to one caller."""

    @property
    def id(self) -> str:
        """What sessions and request states are bound to."""
        ...

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def instructions(self) -> str: ...
    @property
    def public(self) -> bool:
        """Whether everybody sees the same."""
        ...

    @property
    def releases(self) -> Sequence[Release]:
        """The agents whose tasks and artifacts are the resources here."""
        ...

    @property
    def tools(self) -> Sequence[Offered]: ...
    @property
    def examples(self) -> Sequence[Example]: ...
    @property
    def prompts(self) -> Sequence[Offered]: ...
    @property
    def resources(self) -> Sequence[ResourceSkill]: ...
    @property
    def searched(self) -> bool:
        """Whether there are tools to search and to call others with."""
        ...

    @property
    def many(self) -> bool:
        """Whether those alone are listed."""
        ...

    def tool(self, name: str) -> Offered | None: ...
    def of_skill(self, release: Release, skill: str) -> Offered | None:
        """The offer behind a skill of an agent, whatever it is here."""
        ...


class Offer:
    """What one release offers."""

    __slots__ = ("all", "examples", "prompts", "resources", "tools")

    def __init__(self, release: Release) -> None:
        self.all: dict[str, Offered] = {}
        self.tools: dict[str, Offered] = {}
        self.prompts: list[Offered] = []
        self.resources: list[ResourceSkill] = []
        self.examples: list[Example] = []
        for spec in release.skills:
            offered = Offered(spec.id, release, spec, wraps(spec), _task(spec), _requires(spec))
            self.all[spec.id] = offered
            uris = [tag.removeprefix(_RESOURCE) for tag in spec.tags if tag.startswith(_RESOURCE)]
            self.resources += [_resource(uri, offered) for uri in uris if uri]
            if "mcp:prompt" in spec.tags:
                self.prompts.append(offered)
            elif not uris:
                self.tools[spec.id] = offered
                self.examples += [
                    Example(f"{spec.id}-{number}", spec.name, f"An example of {spec.name}", text)
                    for number, text in enumerate(spec.examples, 1)
                ]


def _task(spec: SkillSpec) -> str:
    if "mcp:task=required" in spec.tags:
        return "must"
    return "may" if "mcp:task" in spec.tags else ""


def _requires(spec: SkillSpec) -> tuple[str, ...]:
    return tuple(tag.removeprefix(_REQUIRES) for tag in spec.tags if tag.startswith(_REQUIRES))


def _resource(uri: str, offered: Offered) -> ResourceSkill:
    pattern = ""
    last = 0
    for found in _VARIABLE.finditer(uri):
        pattern += re.escape(uri[last : found.start()]) + f"(?P<{found[1]}>[^/?#]*)"
        last = found.end()
    names = tuple(dict.fromkeys(_VARIABLE.findall(uri)))
    if len(names) != len(_VARIABLE.findall(uri)):
        names, pattern, last = (), "", 0  # A variable that stands there twice: taken as it is written.
    return ResourceSkill(uri, offered, re.compile(pattern + re.escape(uri[last:])), names)


class Offers:
    """Offers by release, which never changes."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], Offer] = {}

    def of(self, release: Release) -> Offer:
        """The release's offer: of all of its skills, or of those that it is seen with."""
        key = (release.no, len(release.skills))
        offer = self._kept.get(key)
        if offer is None:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            offer = self._kept[key] = Offer(release)
        return offer


class AgentToolbox:
    """One agent's toolbox. Fits Toolbox."""

    __slots__ = ("_offer", "release")

    searched = False
    many = False

    def __init__(self, release: Release, offer: Offer) -> None:
        self.release = release
        self._offer = offer

    @property
    def id(self) -> str:
        """See Toolbox."""
        return qualified(self.release)

    @property
    def name(self) -> str:
        """See Toolbox."""
        return self.release.name

    @property
    def title(self) -> str:
        """See Toolbox."""
        return self.release.name.replace("_", " ")

    @property
    def version(self) -> str:
        """See Toolbox."""
        return self.release.manifest.version

    @property
    def instructions(self) -> str:
        """See Toolbox."""
        return self.release.manifest.description

    @property
    def public(self) -> bool:
        """See Toolbox."""
        return self.release.public

    @property
    def releases(self) -> Sequence[Release]:
        """See Toolbox."""
        return (self.release,)

    @property
    def tools(self) -> Sequence[Offered]:
        """See Toolbox."""
        return tuple(self._offer.tools.values())

    @property
    def examples(self) -> Sequence[Example]:
        """See Toolbox."""
        return self._offer.examples

    @property
    def prompts(self) -> Sequence[Offered]:
        """See Toolbox."""
        return self._offer.prompts

    @property
    def resources(self) -> Sequence[ResourceSkill]:
        """See Toolbox."""
        return self._offer.resources

    def tool(self, name: str) -> Offered | None:
        """See Toolbox."""
        return self._offer.tools.get(name)

    def of_skill(self, release: Release, skill: str) -> Offered | None:
        """See Toolbox."""
        return self._offer.all.get(skill)


def tool_document(offered: Offered, *, modern: bool, price: Mapping[str, Any] | None = None) -> Json:
    """The tool as lists show it; `price` is what a call costs, None for nothing."""
    spec = offered.spec
    document: Json = {"name": offered.name, "title": spec.name, "inputSchema": input_schema(spec)}
    if spec.description:
        document["description"] = spec.description
    output = output_schema(spec)
    if output is not None:
        document["outputSchema"] = output
    annotations: Json = {"title": spec.name}
    if "mcp:read-only" in spec.tags:
        annotations["readOnlyHint"] = True
    if spec.idempotent:
        annotations["idempotentHint"] = True
    document["annotations"] = annotations
    if price is not None:
        document["_meta"] = {PRICE: dict(price)}
    if not modern:
        document["execution"] = {"taskSupport": "required" if offered.task == "must" else "optional"}
    return document


def prompt_document(offered: Offered) -> Json:
    """A skill that is a prompt, as lists show it."""
    schema = input_schema(offered.spec)
    required = cast("list[str]", schema.get("required") or [])
    document: Json = {"name": offered.name, "title": offered.spec.name}
    if offered.spec.description:
        document["description"] = offered.spec.description
    arguments: list[Json] = []
    for name, one in cast(Json, schema.get("properties") or {}).items():
        argument: Json = {"name": name, "required": name in required}
        if isinstance(one, dict) and cast(Json, one).get("description"):
            argument["description"] = one["description"]
        arguments.append(argument)
    if arguments:
        document["arguments"] = arguments
    return document
