"""Which requests need a person: an organisation's rules over what is asked, and the risk of it.

Pure. Rules decide paths: the first one that means a path. A request asks for patterns, and gets the
strictest decision that any path in them could get: of the first rule that covers a whole pattern, and of
those before it that deny or ask and could meet it. So nobody goes around a rule with a wider pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from a2a_cloud.control.approvals.covering import KINDS, covers, may_meet, plain
from a2a_cloud.model.approval import Ask, Risk
from a2a_cloud.model.grant import Patterns, Widening
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.glob import check_globs, host_glob

#: What one request may hold: a person has to read it, and every rule is compared with it.
MOST_PATTERNS = 32
MOST_CHARACTERS = 2048
MOST_REASON = 1000
MOST_SECONDS = 365 * 86_400

#: What rules call the kinds of a request.
OPERATIONS = {"read": "read", "write": "write", "call": "skills", "egress": "egress"}


class Decision(StrEnum):
    """What a rule says; `ask`: one person decides, `ask_two`: two must agree. From the mildest on."""

    APPROVE = "approve"
    ASK = "ask"
    ASK_TWO = "ask_two"
    DENY = "deny"


_STRICT = {decision: rank for rank, decision in enumerate(Decision)}


class Rule(Struct, frozen=True, kw_only=True):
    """One rule. None: whatever it is. `seconds` is how long what is allowed holds at most, `deadline` how
    long is waited for people, both 0 for the default. `own`: the requester may approve."""

    number: int
    decision: Decision
    name: str = ""
    paths: Patterns | None = None
    skills: Patterns | None = None
    egress: Patterns | None = None
    operations: Patterns | None = None
    agents: Patterns | None = None
    callers: Patterns | None = None
    risk: Patterns | None = None
    seconds: int = 0
    deadline: int = 0
    own: bool = False

    @property
    def label(self) -> str:
        """`rule 2`, or `rule 2 (finance)`."""
        return f"rule {self.number}" + (f" ({self.name})" if self.name else "")


class Ruling(Struct, frozen=True):
    """What the rules say of a request. `rule` is the label of the one that was strictest, "" for none."""

    decision: Decision
    rule: str = ""
    seconds: int = 0
    deadline: int = 0
    own: bool = False


#: What holds where no rule does: one person decides, and not the requester.
NO_RULE = Ruling(Decision.ASK)


def check_ask(ask: Ask) -> None:
    """Raises InvalidParams for a request that asks nothing, too much at once, or no right patterns."""
    check_patterns(ask.wanted)
    if len(ask.reason) > MOST_REASON:
        raise InvalidParams(
            f"The reason has {len(ask.reason)} characters; {MOST_REASON} are the most.",
            remedy="Say it in a sentence or two.",
            info={"field": "reason"},
        )
    if not 0 <= ask.seconds <= MOST_SECONDS:
        raise InvalidParams(
            f"A permission can't be asked for {ask.seconds} seconds.",
            remedy=f"Write 0 (as long as the run) to {MOST_SECONDS}.",
            info={"field": "seconds"},
        )


def check_patterns(wanted: Widening) -> None:
    """Raises InvalidParams for lists that name nothing, too much, or what is no pattern."""
    every = [each for kind in KINDS for each in getattr(wanted, kind)]
    if not every:
        raise InvalidParams(
            "Nothing is named: no path, no skill and no host.",
            remedy='Name something, such as read=["finance/**"].',
            info={"field": "read"},
        )
    if len(every) > MOST_PATTERNS or sum(map(len, every)) > MOST_CHARACTERS:
        raise InvalidParams(
            f"{len(every)} patterns are more than a person can judge: {MOST_PATTERNS} with"
            f" {MOST_CHARACTERS} characters together are the most.",
            remedy="Ask for fewer, wider patterns: `**` stands for whole folders.",
        )
    for kind in KINDS:
        for each in getattr(wanted, kind):
            check_pattern(kind, each)


def check_pattern(kind: str, pattern: str) -> None:
    """Raises InvalidParams when it is no pattern of that kind."""
    if kind == "egress":
        host_glob(pattern)
        return
    check_globs((pattern,))
    if kind == "skills" and pattern.count("/") != 1 and pattern != "**":
        raise InvalidParams(
            f"{pattern[:120]!a} is no skill.",
            remedy="Write agent/skill, such as pricing/quote or mailer/*.",
            info={"field": "skills"},
        )


def decide(rules: tuple[Rule, ...], ask: Ask, risk: Risk) -> Ruling:
    """What `rules` say of the request, which `check_ask` has passed."""
    found: list[Rule | None] = []
    fitting = [rule for rule in rules if _fits(rule, ask, risk)]
    for kind in KINDS:
        for pattern in getattr(ask.wanted, kind):
            found += _deciding(fitting, kind, plain(kind, pattern))
    hits = [rule for rule in found if rule is not None]
    decision = max((rule.decision if rule else NO_RULE.decision for rule in found), key=_STRICT.__getitem__)
    first = next((rule for rule in hits if rule.decision is decision), None)
    return Ruling(
        decision,
        first.label if first is not None else "",
        least(rule.seconds for rule in hits),
        least(rule.deadline for rule in hits),
        all(rule is not None and (rule.own or rule.decision is Decision.APPROVE) for rule in found),
    )


def _deciding(rules: Sequence[Rule], kind: str, pattern: str) -> list[Rule | None]:
    """The rules that paths of the pattern could meet first; None where it could be none."""
    met: list[Rule | None] = []
    for rule in rules:
        own = _own(rule, kind)
        if own is None or any(covers(each, pattern) for each in own):
            return [*met, rule]
        if rule.decision is not Decision.APPROVE and any(may_meet(each, pattern) for each in own):
            met.append(rule)
    return [*met, None]


def least(values: Iterable[int]) -> int:
    """The shortest of the durations, of which 0 is without an end."""
    return min((each for each in values if each), default=0)


def _fits(rule: Rule, ask: Ask, risk: Risk) -> bool:
    """All but the patterns: the risk, who asks, through which agent."""
    if rule.risk is not None and risk.value not in rule.risk:
        return False
    return all(
        names is None or any(covers(each, name) for each in names)
        for names, name in ((rule.agents, ask.agent), (rule.callers, ask.requester))
    )


def _own(rule: Rule, kind: str) -> list[str] | None:
    """The rule's patterns for a kind, over paths; none when it is not about that kind, None for all."""
    if rule.operations is not None and kind not in (OPERATIONS[each] for each in rule.operations):
        return []
    own = {"skills": rule.skills, "egress": rule.egress}.get(kind, rule.paths)
    if own is not None:
        return [plain(kind, each) for each in own]
    return None if rule.paths is None and rule.skills is None and rule.egress is None else []


def risk_of(wanted: Widening) -> Risk:
    """How much harm it could do, from the text alone; docs/approvals.md has the table.

    high: a path pattern that begins with a wildcard, any agent's skills, a wildcard for a whole host, or a
    host together with files (they could leave). medium: any other writing, call or host. low: reading.
    """
    paths = (*wanted.read, *wanted.write)
    if any(_wild(each.split("/", 1)[0]) for each in (*paths, *wanted.skills)):
        return Risk.HIGH
    if wanted.egress and (paths or any(_whole_zone(each) for each in wanted.egress)):
        return Risk.HIGH
    return Risk.MEDIUM if wanted.write or wanted.skills or wanted.egress else Risk.LOW


def _wild(segment: str) -> bool:
    return "*" in segment or "?" in segment


def _whole_zone(host: str) -> bool:
    """A wildcard with less than a name of two labels after it: `*`, `**`, `*.com`."""
    labels = host.partition(":")[0].split(".")
    return any(_wild(label) for label in labels) and (len(labels) < 3 or any(map(_wild, labels[-2:])))
