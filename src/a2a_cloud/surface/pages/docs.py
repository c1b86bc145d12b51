"""The page at an agent's documentation address: what a release's skills take and give, what limits hold,
and how to call them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from a2a_cloud.model.release import Limits, Release, SkillSpec
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.pages.assets import templates
from a2a_cloud.surface.pages.calling import Way, text_ways, ways
from a2a_cloud.surface.pages.shapes import Row, in_words, rows
from a2a_cloud.wire.schema_reading import decode


@dataclass(frozen=True)
class _Skill:
    """A skill as the template shows it."""

    id: str
    name: str
    about: list[str]
    tags: list[str]
    examples: list[str]
    facts: list[str]
    parameters: list[Row]
    result: str
    result_about: str
    result_rows: list[Row]
    input_schema: str
    output_schema: str
    ways: list[Way]
    price: str


def docs_page(
    release: Release,
    base: str,
    *,
    auth_public: bool,
    receipt_url: str,
    platform: str,
    deprecated_until: float | None = None,
    prices: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """The page of `release`, reached at `base`, as HTML.

    `auth_public`: anybody may call it. `receipt_url`: where a run's receipt is, with `{id}` for the run.
    `platform`: the platform's own address. `deprecated_until`: wall seconds when this version ends.
    `prices`: what skills cost, in words, by id; "" for the message handler.
    """
    manifest = release.manifest
    words: list[Way] = []
    spec = release.skill(manifest.default_skill)
    if spec is None and len(release.skills) == 1:
        spec = release.skills[0]
    if release.has_message_handler or (spec is not None and spec.text_param):
        words = text_ways(release, base, public=auth_public)
    page = (
        templates()
        .get_template("docs.html")
        .render(
            agent=release.name,
            qualified=qualified(release),
            org=release.org,
            about=_paragraphs(manifest.description),
            version=manifest.version,
            release=release.number,
            digest=release.digest,
            made=stamp(release.created) if release.created else "",
            provider=manifest.provider_name,
            provider_url=manifest.provider_url if _is_web(manifest.provider_url) else "",
            public=auth_public,
            base=base,
            platform=platform,
            receipt_url=receipt_url,
            limits=_limits(manifest.limits),
            skills=[
                _skill(release, base, spec, auth_public, prices.get(spec.id, "")) for spec in release.skills
            ],
            text_ways=words,
            text_price=prices.get("", ""),
            default_skill="" if release.has_message_handler or spec is None else spec.id,
            ends=stamp(deprecated_until)[:10] if deprecated_until is not None else "",
        )
    )
    return page.encode("utf-8", "replace")


def _skill(release: Release, base: str, spec: SkillSpec, public: bool, price: str) -> _Skill:
    takes, gives = decode(spec.input_schema), decode(spec.output_schema)
    files = [
        Row(
            param.name,
            ("files" if param.many else "file")
            + (f": {', '.join(param.media_types)}" if param.media_types else ", any type"),
            param.required,
            "",
            param.description,
            "",
            0,
        )
        for param in spec.files
    ]
    return _Skill(
        id=spec.id,
        name=spec.name or spec.id,
        about=_paragraphs(spec.description),
        tags=spec.tags,
        examples=spec.examples,
        facts=_facts(spec),
        parameters=files + rows(takes),
        result=in_words(gives, gives),
        result_about=str(gives.get("description", "")),
        result_rows=rows(gives) or rows(_items(gives)),
        input_schema=_pretty(takes),
        output_schema=_pretty(gives),
        ways=ways(release, base, spec, public=public),
        price=price,
    )


def _items(schema: dict[str, Any]) -> dict[str, Any]:
    """What a list holds, with the definitions it refers to."""
    items: Any = schema.get("items")
    if not isinstance(items, dict):
        return {}
    inner: dict[str, Any] = {"properties": {"[]": items}, "$defs": schema.get("$defs", {})}
    return inner


def _facts(spec: SkillSpec) -> list[str]:
    facts: list[str] = []
    if spec.streams:
        facts.append("streams its text")
    if spec.timeout:
        facts.append(f"at most {_seconds(spec.timeout)}")
    if spec.durable:
        facts.append("goes on after a crash")
    elif spec.idempotent:
        facts.append("starts again after a crash")
    if spec.retries:
        facts.append(f"tried {spec.retries + 1} times")
    modes = [*spec.input_modes, *spec.output_modes]
    if modes:
        facts.append("modes: " + ", ".join(dict.fromkeys(modes)))
    return facts


def _limits(limits: Limits) -> list[tuple[str, str]]:
    return [
        ("Time for a run", _seconds(limits.timeout)),
        ("Runs at once", f"{limits.concurrency} in each of {limits.workers} workers"),
        ("Runs that wait", str(limits.queue)),
        ("Memory of a worker", _size(limits.memory)),
        ("An artifact", f"at most {_size(limits.artifact_bytes)}"),
        ("Calls to other agents", f"{limits.children} a run, {limits.depth} deep"),
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 600 else f"{seconds / 60:g} min"


def _size(size: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:g} {unit}"
        size = size // 1024 if size % 1024 == 0 else round(size / 1024)
    return f"{size} GiB"


def _paragraphs(text: str) -> list[str]:
    return [" ".join(each.split()) for each in text.split("\n\n") if each.strip()]


def _pretty(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=2)


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))
