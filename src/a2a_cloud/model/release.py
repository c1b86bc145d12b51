"""An agent's release: immutable, numbered, addressed by digest; and what its skills declare."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Literal

import msgspec
from msgspec import Struct

from a2a_cloud.model.grant import GrantSpec
from a2a_cloud.model.principal import Principal

#: The platform itself, as an agent (surface/platform_agent.py); no other has the name.
PLATFORM = "a2a-cloud"
#: What a skill asks for: a permission (model/principal.py) or a word of the organisation's own.
SCOPE = re.compile(r"[a-z][a-z0-9_.-]{0,62}")


class Visibility(StrEnum):
    """Who sees an agent: its own organisation and those that it lists, whoever says who they are, anyone."""

    ORG = "org"
    SIGNED_IN = "signed-in"
    PUBLIC = "public"


class SkillSpec(Struct, frozen=True, omit_defaults=True):
    """What the kit's `@skill` declares, as the worker reports it in `ready` (JSON).

    `input_schema` is an object schema of the parameters (JSON Schema 2020-12); file parameters are
    in `files`, not in the schema. `text_param` names the one string parameter that free text fills
    when the skill is the default. `timeout` in seconds; `concurrency` = runs of this skill at once
    in one worker (0: the release's limit). `extended`: only callers with a key see and call it. `scopes`:
    what a caller has to hold (`Principal.holds`), all of them.
    """

    id: str
    name: str
    description: str
    input_schema: msgspec.Raw
    output_schema: msgspec.Raw
    tags: list[str] = []
    examples: list[str] = []
    input_modes: list[str] = []
    output_modes: list[str] = []
    files: list[FileParam] = []
    text_param: str = ""
    timeout: float = 0.0
    retries: int = 0
    idempotent: bool = False
    durable: bool = False
    replayable: bool = True
    concurrency: int = 0
    streams: bool = False
    extended: bool = False
    scopes: list[str] = []


class FileParam(Struct, frozen=True, omit_defaults=True):
    """A parameter that takes a file part. `media_types` may hold globs such as `text/*`."""

    name: str
    required: bool = True
    many: bool = False
    media_types: list[str] = []
    description: str = ""


class Limits(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the runtime and its sandbox enforce on a release. Times in seconds, sizes in bytes.

    Of one run: `artifact_bytes` of text and artifacts; `upload_bytes` that it stores as objects, whatever
    becomes of them. Of one worker: `memory`, `cpu` (cores, 0: no limit), `pids` (processes and threads),
    `tmp_bytes` (what lies in /tmp). `open_files` is per process.

    Of its callers: `rate` (such as "100/s") of calls by all together, `caller_rate` by each; `caller_runs` at
    one time; `caller_day`, `caller_month`: calls of each skill by each. "" and 0: the platform's own.
    """

    concurrency: int = 16
    workers: int = 1
    queue: int = 256
    timeout: float = 300.0
    start_timeout: float = 30.0
    memory: int = 1 << 30
    open_files: int = 256
    log_bytes: int = 1 << 20
    artifact_bytes: int = 1 << 30
    events: int = 100_000
    children: int = 64
    depth: int = 8
    cpu: float = 0.0
    pids: int = 512
    tmp_bytes: int = 64 << 20
    upload_bytes: int = 32 << 30
    rate: str = ""
    caller_rate: str = ""
    caller_runs: int = 0
    caller_day: int = 0
    caller_month: int = 0


class SandboxSpec(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The table `[sandbox]`: how an agent's runs are kept apart from others and from each other.

    `require` "jail": no worker of it is started outside of a jail. `isolation` says what shares a worker:
    "shared" all runs, "caller" the runs of one principal, "run" nothing. `spares`: idle workers that are
    kept ready beyond the busy ones. `idle`: seconds without a run after which no process is left, 0 for
    the platform's own setting.
    """

    require: str = ""
    isolation: str = "shared"
    spares: int = 0
    idle: float = 0.0


class SecretBinding(Struct, frozen=True):
    """A line of `[secrets]`: where the egress proxy puts the secret `name`, which agent code never sees.

    `host` is a host name, with `:port` if the port is not 443; `header` a header's name; `template` the
    header's value, with `{}` where the secret goes.
    """

    name: str
    host: str
    header: str
    template: str


class ExtensionSpec(Struct, frozen=True, omit_defaults=True):
    """An entry of `[[extensions]]`: an extension of A2A that the agent's own code serves (A2A 1.0, 4.6).

    `required`: a caller that does not name it is refused. `params` stand in the card as they are.
    """

    uri: str
    description: str = ""
    required: bool = False
    params: dict[str, Any] = {}


class SkillRules(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A table `[skills.NAME]`: what the operator adds to what the code declares. `require`: scopes that a
    caller has to hold; the others as in Limits, of calls of this skill."""

    require: tuple[str, ...] = ()
    rate: str = ""
    caller_rate: str = ""
    caller_day: int = 0
    caller_month: int = 0


class Manifest(Struct, frozen=True, omit_defaults=True):
    """The folder's `a2a.toml`, read and checked. `visible_to`: other organisations that see the agent, where
    `visibility` is ORG. `issuers`: the operator's names of outside issuers whose tokens it takes. `cors`: the
    origins whose pages may call it, `*` for all."""

    name: str
    entry: str
    description: str = ""
    version: str = "0.1.0"
    provider_name: str = ""
    provider_url: str = ""
    default_skill: str = ""
    visibility: Visibility = Visibility.ORG
    anonymous_list: bool = False
    documentation_url: str = ""
    icon_url: str = ""
    limits: Limits = Limits()
    grant: GrantSpec = GrantSpec()
    sandbox: SandboxSpec = SandboxSpec()
    secrets: tuple[SecretBinding, ...] = ()
    merge: Literal["refuse", "last-writer"] = "refuse"
    extensions: tuple[ExtensionSpec, ...] = ()
    visible_to: tuple[str, ...] = ()
    skills: dict[str, SkillRules] = {}
    issuers: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()


class ReleaseState(StrEnum):
    """A release is being made, can serve, or never will."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Cause(Struct, frozen=True):
    """Why a deploy failed: the problem, the step in which it came, and the last lines of the log."""

    code: str
    detail: str
    remedy: str
    step: str
    lines: list[str] = []


class Release(Struct, frozen=True):
    """One immutable release of an agent: what serves calls.

    `no` is unique among all releases, `number` is what people say. `digest` is `sha256:<hex>` over the
    source's digest and the environment's lock, `source` that of the packed source alone, `environment`
    names what its workers run in ("": the platform's own interpreter). `folder` is where its code lies.
    `has_message_handler` says that free text goes to `@agent.message`.
    """

    no: int
    agent_no: int
    org_no: int
    org: str
    number: int
    digest: str
    folder: str
    manifest: Manifest
    skills: tuple[SkillSpec, ...]
    has_message_handler: bool = False
    created: float = 0.0
    environment: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.manifest.name

    def skill(self, skill_id: str) -> SkillSpec | None:
        """The skill with that id, or None."""
        for spec in self.skills:
            if spec.id == skill_id:
                return spec
        return None

    @property
    def extended(self) -> bool:
        """Whether some of its skills are for callers with a key alone."""
        return any(spec.extended for spec in self.skills)

    def open_to(self, principal: Principal) -> bool:
        """Whether the agent is any of a caller's business: the one place that says who sees what."""
        if principal.org_no == self.org_no:
            return True
        manifest = self.manifest
        match manifest.visibility:
            case Visibility.PUBLIC:
                return True
            case Visibility.SIGNED_IN:
                return not principal.anonymous
            case Visibility.ORG:
                return principal.org in manifest.visible_to

    @property
    def public(self) -> bool:
        """Whether a caller needs to say who they are for none of its plain skills."""
        return self.manifest.visibility is Visibility.PUBLIC

    def seen_by(self, anonymous: bool) -> Release:
        """The release as a caller sees it: without a key, without the skills that need one."""
        if not anonymous or not self.extended:
            return self
        return msgspec.structs.replace(self, skills=tuple(s for s in self.skills if not s.extended))

    @property
    def major(self) -> int:
        """The major number of its version."""
        return major_of(self.manifest.version)


def major_of(version: str) -> int:
    """The number in front of a version such as `2.1.0`."""
    digits = ""
    for sign in version:
        if not sign.isdigit():
            break
        digits += sign
    return int(digits or "0")
