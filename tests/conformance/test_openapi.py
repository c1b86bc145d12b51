"""Agents' OpenAPI documents: valid by a public validator, and true of the live server by schemathesis: no
status, media type, header or body that the document doesn't have, nothing refused that it allows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from a2a_cloud.model.problem import Problem
from a2a_cloud.wire import openapi_problems
from running import Running

#: Skills that wait for a file of the machine, fail, or refuse: what they do is no matter of the document.
LEFT_OUT = "/invoke/(hold|pour|make|fail|refuse)"
#: A2A decides by what a message says whether it fits (which skill, which task): no schema can say it all.
ROUTED = "/message:send|/tasks|:cancel|/hooks|/sessions|/extended"
#: Streams stay open while their task waits; run alone, nothing gives away the id of one.
STREAMS = "^/sse|:stream|:subscribe"


def described(http: httpx.Client, base: str) -> Any:
    answer = http.get(f"{base}/openapi.json")
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("agent", ["desk", "open", "talker"])
def test_a_public_validator_finds_nothing(desk: Running, agent: str) -> None:
    with httpx.Client(headers=desk.auth) as http:
        document = described(http, desk.agent(agent))
    validate(document, cls=OpenAPIV31SpecValidator)
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(set(ids)) == len(ids)


def test_every_path_is_answered(desk: Running) -> None:
    with httpx.Client(headers=desk.auth) as http:
        document = described(http, desk.agent("desk"))
        for path, methods in document["paths"].items():
            plain = path.replace("{", "").replace("}", "")
            answer = http.options(desk.agent("desk") + plain)
            assert answer.status_code == 204, path
            allowed = {name.strip().lower() for name in answer.headers["allow"].split(",")}
            assert allowed - {"head", "options"} == set(methods), path


def run(desk: Running, agent: str, place: Path, *words: str) -> None:
    """schemathesis, over what is served but for the headers of a call: it can't make up a grant in JSON, and
    takes it for wrong that a header which nobody knows is passed over."""
    with httpx.Client(headers=desk.auth) as http:
        document = described(http, desk.agent(agent))
    headers = [
        {"$ref": f"#/components/parameters/{name}"} for name in ("IdempotencyKey", "Grant", "Priority")
    ]
    for methods in document["paths"].values():
        for each in methods.values():
            each["parameters"] = [one for one in each.get("parameters", []) if one not in headers]
    (place / "openapi.json").write_text(json.dumps(document))
    command = [str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run", "openapi.json"]
    command += ["--url", desk.agent(agent), "--phases", "examples,coverage,fuzzing", "--max-examples", "8"]
    command += ["--generation-deterministic", "--suppress-health-check", "all", "--request-timeout", "20"]
    # Both ways to say who calls hold the same key: two that differ are refused.
    for header in (f"Authorization: Bearer {desk.key}", f"X-API-Key: {desk.key}"):
        command += ["-H", header]
    command += words
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]


@pytest.mark.parametrize("agent", ["desk", "open"])
def test_skills_are_as_described(desk: Running, agent: str, tmp_path: Path) -> None:
    run(desk, agent, tmp_path, "--include-path-regex", "^/invoke/", "--exclude-path-regex", LEFT_OUT)


def test_documents_and_runs_are_as_described(desk: Running, tmp_path: Path) -> None:
    run(desk, "desk", tmp_path, "--exclude-path-regex", f"^/invoke/|{ROUTED}|{STREAMS}")


@pytest.mark.parametrize("paths", [ROUTED, STREAMS], ids=["routed", "streams"])
def test_tasks_and_hooks_are_as_described(desk: Running, tmp_path: Path, paths: str) -> None:
    unfit = "positive_data_acceptance,negative_data_rejection"
    others = () if paths == STREAMS else ("--exclude-path-regex", STREAMS)
    run(desk, "desk", tmp_path, "--include-path-regex", paths, "--exclude-checks", unfit, *others)


def test_examples_are_the_authors_and_fit(desk: Running) -> None:
    with httpx.Client(headers=desk.auth) as http:
        document = described(http, desk.agent("desk"))
        for path, methods in document["paths"].items():
            if not path.startswith("/invoke/") or path in ("/invoke/hold", "/invoke/pour"):
                continue
            content = methods["post"]["requestBody"]["content"]
            for example in content.get("application/json", {}).get("examples", {}).values():
                answer = http.post(desk.agent("desk") + path, json=example["value"], params={"async": "true"})
                assert answer.status_code == 202, (path, answer.text)


def test_every_problem_of_a_family_has_a_response() -> None:
    families: dict[str, tuple[type[Problem], ...]] = openapi_problems._FAMILIES  # pyright: ignore[reportPrivateUsage]
    for family, kinds in families.items():
        named = openapi_problems.problems(family)
        for kind in kinds:
            status = 415 if kind.code == "content_type_not_supported" else kind.http
            assert str(status) in named, (family, kind.code)
