"""Extensions: what a2a.toml declares, what a call activates, what the kit writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from a2a_cloud.agent.outputs import extended
from a2a_cloud.agent.problem import Problem
from a2a_cloud.control.registry.manifest import read_manifest
from a2a_cloud.model.card import HITL
from a2a_cloud.model.problem import ExtensionSupportRequired, InvalidParams
from a2a_cloud.model.release import ExtensionSpec, Manifest, Release
from a2a_cloud.model.task import Message, Part, Role
from a2a_cloud.surface.a2a.extensions import activated

FIRST = "https://example.com/first/v1"
SECOND = "urn:example:second"


def manifest(folder: Path, text: str) -> Manifest:
    (folder / "agent.py").write_text("")
    (folder / "a2a.toml").write_text('name = "desk"\n' + text)
    return read_manifest(folder)


def test_declared_extensions_are_read_and_kept(tmp_path: Path) -> None:
    found = manifest(
        tmp_path,
        f"""
        [[extensions]]
        uri = "{FIRST}"
        description = "One."
        required = true
        params = {{ styles = ["apa"], most = 3, share = 0.5, deep = {{ yes = true }} }}
        [[extensions]]
        uri = "{SECOND}"
        """,
    )
    assert found.extensions == (
        ExtensionSpec(
            FIRST, "One.", True, {"styles": ["apa"], "most": 3, "share": 0.5, "deep": {"yes": True}}
        ),
        ExtensionSpec(SECOND),
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=Manifest) == found


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("extensions = 3", "extensions"),
        ('extensions = ["https://a.example"]', "extensions"),
        ("[extensions]\nuri = 'https://a.example'", "extensions"),
        ("[[extensions]]", "extensions[0].uri"),
        ("[[extensions]]\nuri = 3", "extensions[0].uri"),
        ("[[extensions]]\nuri = 'no uri'", "extensions[0].uri"),
        ("[[extensions]]\nuri = 'https://a.example/x,y'", "extensions[0].uri"),
        ("[[extensions]]\nuri = 'https://a.example/\\u00e9'", "extensions[0].uri"),
        ("[[extensions]]\nuri = 'urn:a2a-cloud:mine:v1'", "extensions[0].uri"),
        (f"[[extensions]]\nuri = '{HITL}'", "extensions[0].uri"),
        (f"[[extensions]]\nuri = '{FIRST}'\n[[extensions]]\nuri = '{FIRST}'", "extensions[1].uri"),
        (f"[[extensions]]\nuri = '{FIRST}'\nneeded = true", "extensions[0].needed"),
        (f"[[extensions]]\nuri = '{FIRST}'\nrequired = 'yes'", "extensions[0].required"),
        (f"[[extensions]]\nuri = '{FIRST}'\ndescription = 3", "extensions[0].description"),
        (f"[[extensions]]\nuri = '{FIRST}'\nparams = [1]", "extensions[0].params"),
        (f"[[extensions]]\nuri = '{FIRST}'\nparams = {{ day = 2026-01-01 }}", "extensions[0].params"),
        (f"[[extensions]]\nuri = '{FIRST}'\nparams = {{ most = inf }}", "extensions[0].params"),
        (f"[[extensions]]\nuri = '{FIRST}'\nparams = {{ t = '{'x' * 70000}' }}", "extensions[0].params"),
        ("".join(f"[[extensions]]\nuri = 'urn:x:{n}'\n" for n in range(33)), "extensions"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_can_not_be_declared_is_refused(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        manifest(tmp_path, text)
    assert refused.value.info["key"] == key
    assert refused.value.remedy


# --- negotiation ------------------------------------------------------------------------------------------


def release(*extensions: ExtensionSpec) -> Release:
    return Release(1, 1, 1, "default", 1, "", "", Manifest("desk", "agent.py", extensions=extensions), ())


def message(*extensions: str) -> Message:
    said = Message("m", Role.USER, [Part(text="a")])
    if extensions:
        said.extensions = list(extensions)
    return said


def test_active_is_what_is_named_and_declared_in_the_cards_order() -> None:
    own = release(ExtensionSpec(FIRST), ExtensionSpec(SECOND))
    assert activated(own, b"", message(), "a2a-1.0") == []
    header = f" {SECOND} ,urn:other,, {HITL}".encode()
    assert activated(own, header, message(FIRST, "x"), "a2a-1.0") == [HITL, FIRST, SECOND]
    # Another version of it is another extension.
    assert activated(own, b"https://example.com/first/v2", message(), "a2a-1.0") == []
    assert activated(own, b"\xff\xfe," * 200, message(), "a2a-1.0") == []


@pytest.mark.parametrize("speaks", ["a2a-1.0", "a2a-0.3", "a2a-0.2"])
def test_a_required_extension_has_to_be_named(speaks: str) -> None:
    own = release(ExtensionSpec(FIRST), ExtensionSpec(SECOND, required=True))
    with pytest.raises(ExtensionSupportRequired) as refused:
        activated(own, FIRST.encode(), message(), speaks)
    assert refused.value.info == {"extensions": SECOND}
    assert activated(own, SECOND.encode(), message(), speaks) == [SECOND]
    assert activated(own, b"", message(SECOND), speaks) == [SECOND]


def test_dialects_without_extensions_have_none_to_name() -> None:
    assert activated(release(ExtensionSpec(SECOND, required=True)), b"", message(), "session") == []


# --- the kit ----------------------------------------------------------------------------------------------


def test_metadata_names_the_active_extensions_in_it() -> None:
    active = frozenset({FIRST})
    assert extended(active, None) == {}
    assert extended(active, {"own": 1}) == {"metadata": {"own": 1}}
    assert extended(active, {FIRST: {"a": 1}, SECOND: 2}) == {
        "metadata": {FIRST: {"a": 1}, SECOND: 2},
        "extensions": [FIRST],
    }
    wrong: Any = {1: 2}
    with pytest.raises(Problem):
        extended(active, wrong)


def test_an_agents_tests_say_which_are_active() -> None:
    from a2a_cloud.testing import AgentTest

    uri = "https://example.com/extensions/citations/v1"
    with AgentTest(Path(__file__).parents[1] / "agents" / "carded") as agent:
        assert agent.call("cite", text="a").value == []
        assert agent.using(extensions=[uri]).call("cite", text="a").value == [uri]
