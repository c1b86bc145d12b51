"""The table `[grant]`: what it takes, and the sentence for each thing that it doesn't."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.control.grants.declare import read_grant, read_narrowing
from a2a_cloud.model.grant import EVERYTHING, GrantSpec, Narrowing, Operation
from a2a_cloud.model.problem import InvalidParams


def read(text: str) -> GrantSpec:
    return read_grant(tomllib.loads(text))


def refused(text: str) -> InvalidParams:
    with pytest.raises(InvalidParams) as caught:
        read(text)
    assert "a2a.toml" in caught.value.detail
    assert caught.value.remedy
    assert caught.value.info["key"].startswith("grant.")
    return caught.value


def test_nothing_declared_is_nothing_allowed_but_its_own_outputs() -> None:
    spec = read("")
    assert spec == GrantSpec()
    assert (spec.read, spec.write, spec.skills, spec.egress) == ((), (), (), ())
    assert spec.operations == EVERYTHING
    assert spec.pinned("run_7") == "outputs/run_7/"


def test_everything() -> None:
    spec = read(
        """
        read = ["contracts/**", "shared/*.md"]
        write = ["drafts/**"]
        deny = ["**/secret/**"]
        skills = ["pricing/quote", "mailer/*"]
        egress = ["api.example.com", "*.example.org:8443"]
        operations = ["read", "list", "write"]
        prefix = "reports/{run}/"
        workspace = "legal"
        bytes = 1_000_000
        uses = 500
        depth = 3
        """
    )
    assert spec.read == ("contracts/**", "shared/*.md")
    assert spec.operations == (Operation.READ, Operation.LIST, Operation.WRITE)
    assert (spec.bytes, spec.uses, spec.depth, spec.workspace) == (1_000_000, 500, 3, "legal")
    assert spec.pinned("run_7") == "reports/run_7/"
    assert msgspec.json.decode(msgspec.json.encode(spec), type=GrantSpec) == spec


def test_declared_writing_takes_the_place_of_the_pinned_folder() -> None:
    assert read('write = ["drafts/**"]').pinned("run_7") == ""
    assert read('read = ["**"]').pinned("run_7") == "outputs/run_7/"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("reads", "grant.read"),
        ("Write", "grant.write"),
        ("denied", "grant.deny"),
        ("skill", "grant.skills"),
        ("agents", "grant.skills"),
        ("ops", "grant.operations"),
        ("hosts", "grant.egress"),
        ("max-bytes", "grant.bytes"),
        ("max_depth", "grant.depth"),
        ("work_space", "grant.workspace"),
        ("zzz", "It takes `grant.read`, `grant.write`"),
    ],
)
def test_an_unknown_key_gets_the_nearest_right_one(key: str, meant: str) -> None:
    problem = refused(f'"{key}" = 1')
    assert problem.info["key"] == f"grant.{key}"
    assert meant in problem.remedy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('read = "contracts/**"', "a list"),
        ("read = [1]", "texts"),
        ('read = ["/etc/**"]', "absolute"),
        ('read = ["a**b"]', "stands alone"),
        ('read = ["[ab]"]', "[ ] { } !"),
        ('write = ["a/../b"]', "`..`"),
        ('deny = [""]', "empty"),
        ('read = ["caf\u0065\u0301/**"]', "NFC"),
        ('skills = ["quote"]', "agent and skill"),
        ('skills = ["a/b/c"]', "agent and skill"),
        ('skills = ["a/[b]"]', "[ ] { } !"),
        ('egress = ["https://a.com"]', "no host"),
        ('egress = ["A.com"]', "small letters"),
        ('operations = ["chmod"]', '"read"'),
        ('prefix = "outputs"', "/ at its end"),
        ('prefix = "out/*/"', "/ at its end"),
        ('prefix = "../"', "`..`"),
        ('prefix = "/"', "empty"),
        ("workspace = 1", "name of a workspace"),
        ('bytes = "1 GB"', "whole number"),
        ("bytes = 0", "whole number"),
        ("uses = true", "whole number"),
        ("uses = 1.5", "whole number"),
        ("depth = -1", "from 0 to 9"),
        ("depth = 10", "from 0 to 9"),
    ],
)
def test_what_it_does_not_take(text: str, says: str) -> None:
    assert says in refused(text).sentence


def test_too_many_patterns() -> None:
    with pytest.raises(InvalidParams, match="64"):
        read_grant({"read": ["a"] * 65})


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.lists(st.text(max_size=9))
)


@given(
    st.dictionaries(
        st.one_of(st.sampled_from(["read", "skills", "egress", "prefix"]), st.text(max_size=9)), VALUES
    )
)
def test_it_reads_or_refuses(table: dict[str, Any]) -> None:
    try:
        spec = read_grant(table)
    except InvalidParams:
        return
    assert isinstance(spec, GrantSpec)


# --- what a caller or a policy leaves -----------------------------------------------------------------


def test_a_narrowing_takes_the_same_keys_and_a_time() -> None:
    table = {"read": ["a/**"], "write": [], "uses": 3, "seconds": 60, "reason": "only a"}
    found = read_narrowing(table, "The call")
    assert found == Narrowing(read=("a/**",), write=(), uses=3, seconds=60.0, reason="only a")
    assert read_narrowing({}, "The call").empty


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"prefix": "a/"}, "unknown key `grant.prefix`"),
        ({"workspace": "a"}, "unknown key"),
        ({"outputs": 1}, "It takes `grant.read`"),
        ({"second": 1}, "Did you mean `grant.seconds`"),
        ({"seconds": True}, "from 1 to"),
        ({"seconds": float("nan")}, "from 1 to"),
        ({"seconds": 1e9}, "from 1 to"),
        ({"reason": "a\x1bb"}, "one line"),
        ({"reason": "a" * 301}, "one line"),
        ({"read": None}, "a list"),
    ],
)
def test_what_a_narrowing_does_not_take(table: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_narrowing(table, "The call")
    assert says in caught.value.sentence
