"""Agents to search among: a reviewer of its organisation's, a public bookkeeper, one for the signed-in."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import FileParam, Manifest, Release, SkillSpec, Visibility
from a2a_cloud.model.search import Found

ADMIN = Principal(1, 1, "ann", "default", "admin")
STRANGER = Principal(9, 2, "eve", "globex", "admin")


def skill(name: str, description: str, **more: Any) -> SkillSpec:
    given = more.pop("takes", {})
    gives = more.pop("gives", {"type": "string"})
    return SkillSpec(
        name,
        name.replace("_", " "),
        description,
        msgspec.Raw(msgspec.json.encode({"type": "object", "properties": given})),
        msgspec.Raw(msgspec.json.encode(gives)),
        **more,
    )


def agent(no: int, name: str, *skills: SkillSpec, visibility: Visibility = Visibility.ORG) -> Release:
    manifest = Manifest(name, "agent.py", f"The {name.replace('_', ' ')}.", visibility=visibility)
    return Release(no, no, 1, "default", 1, "", "", manifest, skills, not skills)


REVIEWER = agent(
    1,
    "contract_reviewer",
    skill(
        "review",
        "Reads a contract and lists risky clauses.",
        tags=["legal", "mcp:task"],
        files=[FileParam("contract", media_types=["application/pdf", "text/*"])],
        gives={"type": "object", "properties": {"findings": {"type": "array"}}},
    ),
    skill("compare", "Compares two contracts.", takes={"strict": {"type": "boolean"}}),
)
BOOKS = agent(
    2,
    "bookkeeper",
    skill(
        "bookInvoice",
        "Enters an invoice into the ledger.",
        tags=["money"],
        takes={"amount": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "supplier": {"type": "string"}},
        gives={"type": "number"},
        output_modes=["application/json"],
    ),
    skill("audit", "Checks the books for the tax office.", extended=True),
    visibility=Visibility.PUBLIC,
)
TALKER = agent(3, "talker", visibility=Visibility.SIGNED_IN)


class Serving:
    def __init__(self, *releases: Release) -> None:
        self.releases = list(releases)

    def everything(self) -> list[Release]:
        return self.releases


def names(found: Found) -> list[str]:
    return [one.release.name for one in found.agents]
