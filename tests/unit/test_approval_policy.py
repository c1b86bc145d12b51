"""control/approvals/{policy,rules}.py: which requests the rules decide, and refusals that say what to
write."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_cloud.control.approvals.policy import NO_RULE, Decision, Ruling, check_ask, decide, risk_of
from a2a_cloud.control.approvals.rules import MOST_TEXT, read_rules
from a2a_cloud.model.approval import Ask, Risk
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.glob import globs

RULES = """
# What everybody may do, and what nobody may.
[[rule]]
name = "secrets"
paths = ["secret/**", "keys/**"]
decision = "deny"

[[rule]]
paths = ["finance/**"]
decision = "ask_two"
deadline = 3600

[[rule]]
paths = ["reports/**", "public/*.md"]
operations = ["read"]
agents = ["reviewer", "team.*"]
decision = "approve"
for = 600

[[rule]]
skills = ["pricing/*"]
decision = "approve"

[[rule]]
egress = ["*.example.com"]
callers = ["*@acme"]
risk = ["low", "medium"]
decision = "approve"

[[rule]]
callers = ["ada@acme"]
decision = "ask"
self = true
"""


def ask(
    *,
    agent: str = "reviewer",
    requester: str = "bob@acme",
    reason: str = "",
    seconds: int = 0,
    read: tuple[str, ...] = (),
    write: tuple[str, ...] = (),
    skills: tuple[str, ...] = (),
    egress: tuple[str, ...] = (),
) -> Ask:
    wanted = Widening(read=read, write=write, skills=skills, egress=egress)
    return Ask(1, "run_1", "task_1", agent, "review", requester, wanted, reason, seconds)


def ruled(asked: Ask, text: str = RULES) -> Ruling:
    check_ask(asked)
    return decide(read_rules(text), asked, risk_of(asked.wanted))


@pytest.mark.parametrize(
    ("asked", "decision", "rule"),
    [
        (ask(read=("reports/may/**",)), "approve", "rule 3"),
        (ask(read=("reports/may/**",), agent="team.x"), "approve", "rule 3"),
        (ask(read=("reports/may/**",), agent="other"), "ask", ""),
        (ask(write=("reports/may/**",)), "ask", ""),
        (ask(read=("reports/**", "public/a.md"), skills=("pricing/quote",)), "approve", "rule 3"),
        (ask(read=("reports/**",), skills=("mailer/send",)), "ask", ""),
        (ask(read=("public/**",)), "ask", ""),
        (ask(read=("finance/q3.md",)), "ask_two", "rule 2"),
        (ask(read=("reports/x", "finance/q3.md")), "ask_two", "rule 2"),
        (ask(read=("secret/b",)), "deny", "rule 1 (secrets)"),
        (ask(read=("reports/x", "finance/y", "keys/z")), "deny", "rule 1 (secrets)"),
        # What could mean a secret is as good as one: no wide pattern goes around the rule.
        (ask(read=("**",)), "deny", "rule 1 (secrets)"),
        (ask(read=("*/q3.md",)), "deny", "rule 1 (secrets)"),
        (ask(read=("f*/q3.md",)), "ask_two", "rule 2"),
        (ask(egress=("api.example.com",)), "approve", "rule 5"),
        (ask(egress=("api.example.com",), requester="eve@other"), "ask", ""),
        (ask(egress=("api.example.com",), read=("public/a.md",)), "ask", ""),
        (ask(egress=("api.example.com:8443",)), "ask", ""),
        (ask(write=("drafts/x",), requester="ada@acme"), "ask", "rule 6"),
    ],
)
def test_the_strictest_of_the_first_rules_decides(asked: Ask, decision: str, rule: str) -> None:
    found = ruled(asked)
    assert (found.decision, found.rule) == (decision, rule)


def test_durations_deadlines_and_own_requests_come_from_the_rules() -> None:
    assert ruled(ask(read=("finance/a",))).deadline == 3600
    plain = ruled(ask(read=("public/a.md",)))
    assert (plain.decision, plain.seconds) == (Decision.APPROVE, 600)
    assert ruled(ask(write=("drafts/x",), requester="ada@acme")).own
    assert not ruled(ask(write=("drafts/x",))).own
    # One part that the rule does not open is enough.
    assert not ruled(ask(write=("drafts/x", "finance/x"), requester="ada@acme")).own
    assert ruled(ask(write=("x",)), "") == NO_RULE


NAMES = st.sampled_from(["a", "b", "secret", "reports"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(st.one_of(NAMES, st.sampled_from(["*", "**", "?", "s*"])), min_size=1, max_size=4).map(
    "/".join
)


@settings(max_examples=400)
@given(
    st.lists(st.tuples(PATTERNS, st.sampled_from(list(Decision))), max_size=4),
    st.lists(PATTERNS, min_size=1, max_size=3),
    PATHS,
)
def test_a_request_gets_no_milder_decision_than_any_path_in_it(
    rules: list[tuple[str, Decision]], wanted: list[str], path: str
) -> None:
    text = "\n".join(
        f'[[rule]]\npaths = ["{pattern}"]\ndecision = "{decision}"' for pattern, decision in rules
    )
    found = ruled(ask(read=tuple(wanted)), text)
    if globs(tuple(wanted)).matches(path):
        alone = ruled(ask(read=(path,)), text)
        first = next((said for pattern, said in rules if globs((pattern,)).matches(path)), Decision.ASK)
        assert alone.decision is first
        assert list(Decision).index(found.decision) >= list(Decision).index(first)


@pytest.mark.parametrize(
    ("asked", "risk"),
    [
        (Widening(read=("finance/q3/**",)), Risk.LOW),
        (Widening(read=("**",)), Risk.HIGH),
        (Widening(read=("*/x",)), Risk.HIGH),
        (Widening(write=("drafts/x",)), Risk.MEDIUM),
        (Widening(skills=("pricing/quote",)), Risk.MEDIUM),
        (Widening(skills=("*/quote",)), Risk.HIGH),
        (Widening(egress=("api.example.com",)), Risk.MEDIUM),
        (Widening(egress=("*.example.com",)), Risk.MEDIUM),
        (Widening(egress=("*.com",)), Risk.HIGH),
        (Widening(egress=("**",)), Risk.HIGH),
        (Widening(egress=("api.example.com",), read=("finance/x",)), Risk.HIGH),
    ],
)
def test_risk(asked: Widening, risk: Risk) -> None:
    assert risk_of(asked) is risk


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ('[[rule]]\npath = ["a"]\ndecision = "ask"', "2", "path", "Did you mean `paths`?"),
        ('\n[[rule]]\ndecision = "perhaps"', "3", "decision", '"ask_two"'),
        ('[[rule]]\ndecision = "ask"\n[[rule]]\nfor = 60', "3", "", "Write decision ="),
        ('[[rule]]\ndecision = "ask"\n\n[[rule]]\nfor = 0\ndecision = "ask"', "5", "for", "seconds"),
        ('[[rule]]\npaths = "a"\ndecision = "ask"', "2", "paths", "a list"),
        ('[[rule]]\npaths = []\ndecision = "ask"', "2", "paths", "a list"),
        ('[[rule]]\npaths = ["../x"]\ndecision = "ask"', "2", "paths", "`**`"),
        ('[[rule]]\nskills = ["quote"]\ndecision = "ask"', "2", "skills", "agent/skill"),
        ('[[rule]]\negress = ["https://x"]\ndecision = "ask"', "2", "egress", "api.example.com"),
        ('[[rule]]\noperations = ["delete"]\ndecision = "ask"', "2", "operations", '"call"'),
        ('[[rule]]\nrisk = "huge"\ndecision = "ask"', "2", "risk", '"high"'),
        ('[[rule]]\nself = "yes"\ndecision = "ask"', "2", "self", "true or false"),
        ('[[rule]]\nagents = ["a/b"]\ndecision = "ask"', "2", "agents", "names"),
        ('[rules]\ndecision = "ask"', "1", "rules", "[[rule]]"),
        ('[rule]\ndecision = "ask"', "", "rule", "two brackets"),
        ("[[rule]]\ndecision = ask", "2", "", "[[rule]]"),
    ],
)
def test_rules_are_refused_with_line_key_and_what_to_write(text: str, line: str, key: str, says: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_rules(text)
    assert (caught.value.info.get("line", ""), caught.value.info.get("key", "")) == (line, key)
    assert says in caught.value.remedy
    if line and "TOML" not in caught.value.detail:
        assert f"(line {line})" in caught.value.detail


def test_rules_have_limits() -> None:
    for text in ("#" * (MOST_TEXT + 1), '[[rule]]\ndecision = "ask"\n' * 101):
        with pytest.raises(InvalidParams):
            read_rules(text)
    assert read_rules("") == ()


@given(st.text(max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidParams):
        read_rules(text)


@pytest.mark.parametrize(
    "asked",
    [
        ask(),
        ask(read=("../x",)),
        ask(read=("a",) * 33),
        ask(read=("a" * 200 + "/" + "b" * 200, *(f"{n}/" + "c" * 240 for n in range(9)))),
        ask(skills=("quote",)),
        ask(egress=("https://example.com",)),
        ask(read=("a",), reason="x" * 1001),
        ask(read=("a",), seconds=-1),
    ],
)
def test_what_can_not_be_asked_is_refused(asked: Ask) -> None:
    with pytest.raises(InvalidParams) as caught:
        check_ask(asked)
    assert caught.value.remedy
