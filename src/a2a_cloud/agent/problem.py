"""What a skill raises, and what the kit raises about a skill: the authoring kit's own small tree.

    Problem                  the skill failed, with a sentence for the caller
    ├─ Refuse                the agent will not do it (the run ends as rejected)
    │  └─ ScopeDenied        what `ctx.request_scope` asked for was denied, or nobody decided in time
    ├─ InvalidArguments      the call does not fit the skill's parameters; the body never ran
    ├─ BadResult             what the skill returned does not fit its return type
    └─ BadDeclaration        an `@skill` that can't be served; raised at import or at load

The kit runs in the agent's own process and imports nothing of the platform; the runtime translates
`code` to the platform's tree (model/problem.py).
"""

from __future__ import annotations

from collections.abc import Mapping


class Problem(Exception):
    """A failure that the caller is told of: `raise Problem("The contract has no text.")`.

    `detail` says what was wrong and `remedy` what to do next; both reach the caller. `code` is a
    stable snake_case word for programs, `info` further string facts. `retry=True` says that another
    attempt may help: with `@skill(retries=N)` the runtime makes one.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str = "skill_failed",
        retry: bool = False,
        remedy: str = "",
        info: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.retry = retry
        self.remedy = remedy
        self.info: dict[str, str] = dict(info or {})

    @property
    def sentence(self) -> str:
        """What was wrong and what to do next, in one line."""
        return f"{self.detail} {self.remedy}".strip()

    def __str__(self) -> str:
        return self.sentence


class Refuse(Problem):
    """The agent will not do what was asked; the run ends as rejected, with `reason` for the caller."""

    def __init__(self, reason: str, *, remedy: str = "", info: Mapping[str, str] | None = None) -> None:
        super().__init__(reason, code="refused", remedy=remedy, info=info)


#: Codes of a ScopeDenied.
SCOPE_CODES = ("scope_denied", "scope_expired")


class ScopeDenied(Refuse):
    """Nobody allowed what `ctx.request_scope` asked for: `code` is `scope_denied`, or `scope_expired` when
    no one decided in time. Catch it to go on without; else the run ends as rejected, with its sentence."""

    def __init__(self, detail: str, *, code: str = "scope_denied", remedy: str = "") -> None:
        if code not in SCOPE_CODES:
            raise ValueError(f"the code of a ScopeDenied is one of {', '.join(SCOPE_CODES)}, not {code!r}")
        super().__init__(detail, remedy=remedy)
        self.code = code

    @property
    def expired(self) -> bool:
        """Nobody decided in time; asking again may help."""
        return self.code == "scope_expired"


class InvalidArguments(Problem):
    """The arguments do not fit the parameters. `info["argument"]` is the path of the first misfit."""

    def __init__(self, detail: str, *, argument: str = "", remedy: str = "") -> None:
        info = {"argument": argument} if argument else None
        super().__init__(detail, code="invalid_params", remedy=remedy, info=info)


class BadResult(Problem):
    """The skill returned something other than it declares."""

    def __init__(self, detail: str, *, remedy: str = "") -> None:
        super().__init__(detail, code="invalid_agent_response", remedy=remedy)


class BadDeclaration(Problem):
    """A skill is declared in a way that can't be served; says what to write instead."""

    def __init__(self, detail: str, *, remedy: str = "") -> None:
        super().__init__(detail, code="bad_declaration", remedy=remedy)
