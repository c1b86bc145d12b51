"""What is weak in a card: each code by a skill that has it, and a good one that has none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from a2a_cloud.agent.declaration import Declaration
from a2a_cloud.agent.files import File
from a2a_cloud.agent.options import Options
from a2a_cloud.control.deploys.lint import Finding, lint
from a2a_cloud.model.release import Manifest, SkillSpec


class Summary(TypedDict):
    rows: int


GOOD = Manifest(
    name="analyst",
    entry="agent.py",
    description="Reads tables and says what is in them, for people who plan.",
    version="1.0.0",
    provider_name="Example",
    provider_url="https://example.com",
)
SAID: dict[str, Any] = {
    "tags": ("data",),
    "examples": ("Summarise this table.",),
    "output_modes": ("application/json",),
}
DESCRIBED = "Counts the rows of a table by kind; it does not change the table."


def of(function: Callable[..., Any], **options: Any) -> SkillSpec:
    """What the kit reports of a function as a skill."""
    one = Declaration(function, Options(**{**SAID, "description": DESCRIBED, **options}), {})
    return msgspec.json.decode(msgspec.json.encode(one.spec()), type=SkillSpec)


def count(table: Annotated[File, "text/csv", "The table, with a head"], depth: int = 1) -> Summary:
    """Count.

    Args:
        depth: How many levels of kinds to tell apart.
    """
    raise NotImplementedError


def codes(*skills: SkillSpec, manifest: Manifest = GOOD, handler: bool = False) -> list[str]:
    found = lint(manifest, skills, handler)
    for one in found:
        assert one.detail.endswith((".", "…")), one
        assert one.remedy.endswith((".", "…”.")), one
        assert one.detail[0].isupper()
    return [one.code for one in found]


def test_a_good_card_has_nothing_weak() -> None:
    assert codes(of(count)) == []


def test_the_agent_itself() -> None:
    bare = Manifest(name="contract_reviewer", entry="agent.py")
    found = lint(bare, [of(count)], False)
    assert [one.code for one in found] == [
        "agent_description_missing",
        "provider_missing",
        "version_unstable",
    ]
    assert {one.skill for one in found} == {""}
    assert codes(of(count), manifest=msgspec.structs.replace(GOOD, description="An analyst")) == [
        "agent_description_short"
    ]
    said = "The contract reviewer, an agent for contracts"
    named = msgspec.structs.replace(GOOD, name="contract_reviewer", description=said)
    assert codes(of(count), manifest=named) == ["agent_description_short"]
    assert codes(of(count), manifest=msgspec.structs.replace(GOOD, provider_url="")) == [
        "provider_url_missing"
    ]
    for version, weak in (("0.9.1", True), ("0", True), ("10.0.0", False), ("0-rc", True)):
        found_codes = codes(of(count), manifest=msgspec.structs.replace(GOOD, version=version))
        assert found_codes == (["version_unstable"] if weak else [])


def test_skills_together() -> None:
    one, two = of(count), of(count, id="second")
    assert codes(one, two, handler=True) == ["description_repeated"]
    assert codes(one, two) == ["default_skill_missing", "description_repeated"]
    assert codes(one, two, manifest=msgspec.structs.replace(GOOD, default_skill="count")) == [
        "description_repeated"
    ]
    (finding,) = lint(GOOD, [one, two], True)
    assert finding == Finding(
        "description_repeated",
        "second",
        "Its description is that of count, so callers can't tell them apart.",
        "Say what it does that count doesn't.",
    )
    assert codes(handler=True) == ["skills_missing"]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("", ["description_missing"]),
        ("Count", ["description_repeats_name"]),
        ("The count skill.", ["description_repeats_name"]),
        ("Counts it", ["description_repeats_name"]),
        ("Rows of a table", ["description_short", "limits_unsaid"]),
        ("Counts the rows of a table by their kind.", ["limits_unsaid"]),
        ("Counts the notes and nodes of another table, knowing its kind.", ["limits_unsaid"]),
    ],
)
def test_descriptions(description: str, expected: list[str]) -> None:
    spec = msgspec.structs.replace(of(count), description=description)
    assert codes(spec) == expected


@pytest.mark.parametrize(
    "limit",
    [
        "It does not sort.",
        "It doesn't sort.",
        "It doesn’t sort.",
        "Only CSV.",
        "Never sorts.",
        "No Excel files.",
        "Sorts nothing.",
        "At most 100 MB.",
        "It cannot sort.",
        "Limited to CSV.",
    ],
)
def test_limits_in_many_words(limit: str) -> None:
    assert codes(of(count, description=f"Counts the rows of a table by kind. {limit}")) == []


def test_what_callers_choose_by() -> None:
    assert codes(of(count, tags=(), examples=(), output_modes=())) == [
        "examples_missing",
        "tags_missing",
        "output_modes_missing",
    ]


def test_parameters() -> None:
    def f(doc: File, notes: File | None = None, text: str = "", depth: Any = None) -> Summary:
        """F.

        Args:
            depth: The depth
            notes: Notes that the author made beside it.
        """
        raise NotImplementedError

    found = {one.code: one for one in lint(GOOD, [of(f)], False)}
    assert list(found) == [
        "input_modes_missing",
        "parameter_undescribed",
        "parameter_description_repeats_name",
        "parameter_untyped",
    ]
    assert found["input_modes_missing"].detail == "It doesn't say which files it takes as `doc` and `notes`."
    assert found["parameter_undescribed"].detail == "It doesn't say what to give as `text` and `doc`."
    assert found["parameter_description_repeats_name"].detail.startswith("The description of `depth` ")
    assert "`depth`" in found["parameter_untyped"].detail
    assert "input_modes_missing" not in codes(of(f, input_modes=("text/csv",)))


class Described(msgspec.Struct):
    """Where to look."""

    place: str


def test_a_type_describes_its_parameter() -> None:
    def f(where: Described) -> Summary:
        raise NotImplementedError

    assert codes(of(f)) == []


def test_results() -> None:
    def anything(): ...
    def fields() -> dict[str, Any]: ...
    def loose() -> dict: ...  # type: ignore[type-arg]
    def items() -> list: ...  # type: ignore[type-arg]
    def numbers() -> dict[str, int]: ...
    def nothing() -> None: ...
    def text() -> str: ...

    assert codes(of(anything)) == ["output_untyped"]
    assert codes(of(fields)) == codes(of(loose)) == ["output_fields_unsaid"]
    assert codes(of(items)) == ["output_items_unsaid"]
    assert codes(of(numbers)) == codes(of(nothing)) == codes(of(text)) == []


def test_long_texts_are_cut() -> None:
    names = [f"p{i}" for i in range(30)]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    spec = msgspec.structs.replace(of(count), input_schema=msgspec.Raw(msgspec.json.encode(schema)))
    (finding,) = lint(GOOD, [spec], False)
    assert finding.detail.endswith("`p7` and 22 more.")


def test_every_code_is_tried() -> None:
    """A code without a test here is one that nobody has seen."""
    source = Path(lint.__code__.co_filename).read_text()
    words = set(re.findall(r'"((?:[a-z]+_)+(?:missing|short|unsaid|[a-z]+))",\n', source))
    mine = Path(__file__).read_text()
    assert words
    assert {word for word in words if f'"{word}"' not in mine} == set()
