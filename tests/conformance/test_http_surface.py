"""The plain HTTP routes, as curl and a script meet them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_cloud.client.events import ServerEvent, SseParser
from running import Running


@pytest.fixture
def http(desk: Running) -> Iterator[httpx.Client]:
    with httpx.Client(headers=desk.auth, timeout=30) as client:
        yield client


@pytest.fixture
def base(desk: Running) -> str:
    return desk.agent("desk")


def events_of(body: bytes) -> list[ServerEvent]:
    return SseParser().feed(body)


def datas(events: list[ServerEvent], kind: str) -> list[Any]:
    return [json.loads(event.data) for event in events if event.kind == kind]


def task_of(answer: httpx.Response) -> str:
    return answer.headers["A2A-Task"]


# --- /invoke ----------------------------------------------------------------------------------------------


def test_invoke_returns_the_value(http: httpx.Client, base: str) -> None:
    answer = http.post(base + "/invoke/add", json={"a": 1, "b": 2})
    assert (answer.status_code, answer.json()) == (200, {"sum": 3})
    assert answer.headers["A2A-Run"].startswith("run_")
    assert answer.headers["A2A-Context"].startswith("ctx_")
    receipt = http.get(f"{base}/runs/{answer.headers['A2A-Run']}/receipt").json()
    assert receipt["id"] == answer.headers["A2A-Receipt"]
    task = http.get(f"{base}/tasks/{task_of(answer)}").json()
    assert task["history"][0]["parts"] == [{"data": {"arguments": {"a": 1, "b": 2}, "skill": "add"}}]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/*;q=0.5", 200),
        ("application/problem+json", 200),
        ("text/html, */*;q=0.1", 200),
        ("image/png", 406),
        ("text/html", 406),
    ],
)
def test_who_takes_no_json_is_told(http: httpx.Client, base: str, accept: str, status: int) -> None:
    answer = http.post(base + "/invoke/add", json={"a": 1, "b": 2}, headers={"Accept": accept})
    assert answer.status_code == status
    assert (status == 200) or answer.json()["code"] == "not_acceptable"


def test_invoke_without_a_body_has_no_arguments(http: httpx.Client, base: str) -> None:
    answer = http.post(base + "/invoke/add")
    assert answer.status_code == 400
    assert answer.json()["detail"] == '$: "a" is a required property.'


def test_invoke_streams_when_asked(http: httpx.Client, base: str) -> None:
    answer = http.post(base + "/invoke/words", json={"text": "a b"}, headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.content)
    assert events[0].kind == "status"
    assert events[0].id == ""
    assert "".join(data["delta"] for data in datas(events, "text")) == "a b "
    last = json.loads(events[-1].data)
    assert (events[-1].kind, last["state"]) == ("status", "completed")
    assert last["receipt_id"].startswith("rcpt_")


def test_invoke_async(http: httpx.Client, base: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    answer = http.post(base + "/invoke/hold?async=1", json={"gate": str(gate), "words": 2})
    assert answer.status_code == 202
    body = answer.json()
    assert body["state"] in ("submitted", "working")
    assert http.get(body["task_url"]).json()["id"] == body["task_id"]
    gate.touch()
    # The link needs no key: an EventSource has none to send.
    events = events_of(httpx.get(body["sse_url"], timeout=30).content)
    assert datas(events, "result") == [{"value": "open"}]
    assert [event.id for event in events[1:]] == sorted(
        (event.id for event in events[1:]), key=lambda i: int(i.split(".")[1])
    )


def test_a_question_answers_202(http: httpx.Client, base: str) -> None:
    answer = http.post(base + "/invoke/advise", json={"topic": "tea"})
    assert answer.status_code == 202
    body = answer.json()
    assert body["state"] == "input-required"
    assert body["question"] == {
        "text": "Which law governs?",
        "schema": {"enum": ["Delaware", "England"]},
    }
    streamed = http.post(
        base + "/invoke/advise", json={"topic": "tea"}, headers={"Accept": "text/event-stream"}
    )
    assert datas(events_of(streamed.content), "status")[-1]["question"] == body["question"]


def test_failures_are_problems(http: httpx.Client, base: str) -> None:
    failed = http.post(base + "/invoke/fail", json={"why": "secret"})
    assert failed.status_code == 500
    assert failed.headers["content-type"] == "application/problem+json"
    assert failed.json()["code"] == "skill_failed"
    assert "secret" not in failed.text
    assert failed.headers["A2A-Receipt"]
    refused = http.post(base + "/invoke/refuse", json={"why": "not today"})
    assert (refused.status_code, refused.json()["detail"]) == (422, "not today")
    missing = http.post(base + "/invoke/nothing", json={})
    assert (missing.status_code, missing.json()["code"]) == (404, "skill_not_found")


def test_a_file_of_any_size_as_the_body(http: httpx.Client, base: str) -> None:
    block = bytes(range(256)) * 4096
    blocks = 20

    def stream() -> Iterator[bytes]:
        for _ in range(blocks):
            yield block

    digest = hashlib.sha256(block * blocks).hexdigest()
    answer = http.post(
        base + "/invoke/measure?unit=kb",
        content=stream(),
        headers={
            "Content-Type": "application/pdf",
            "Content-Disposition": "attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf",
        },
    )
    assert answer.json() == {
        "name": "résumé.pdf",
        "media_type": "application/pdf",
        "size": len(block) * blocks,
        "sha256": digest,
        "unit": "kb",
    }
    small = http.post(
        base + "/invoke/measure?file=document", content=b"abc", headers={"Content-Type": "text/plain"}
    )
    assert small.json()["size"] == 3
    wrong = http.post(base + "/invoke/measure?file=x", content=b"abc", headers={"Content-Type": "text/plain"})
    assert wrong.status_code == 400
    none = http.post(base + "/invoke/add", content=b"abc", headers={"Content-Type": "text/plain"})
    assert none.status_code == 415


def test_an_idempotency_key_makes_one_run(http: httpx.Client, base: str) -> None:
    key = {"Idempotency-Key": "once-1"}
    first = http.post(base + "/invoke/add", json={"a": 1}, headers=key)
    second = http.post(base + "/invoke/add", json={"a": 1}, headers=key)
    assert first.headers["A2A-Run"] == second.headers["A2A-Run"]
    assert second.json() == {"sum": 1}
    other = http.post(base + "/invoke/add", json={"a": 2}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


def test_a_large_artifact_is_a_link(http: httpx.Client, base: str) -> None:
    answer = http.post(base + "/invoke/make", json={"size": 200_000})
    task = http.get(f"{base}/tasks/{task_of(answer)}").json()
    (part,) = task["artifacts"][0]["parts"]
    assert set(part) == {"url", "mediaType"}
    fetched = httpx.get(part["url"])
    assert fetched.content == b"\x00\x01" * 100_000
    assert fetched.headers["content-disposition"].startswith("attachment;")
    assert fetched.headers["content-security-policy"].startswith("sandbox")
    assert httpx.get(part["url"].replace("sig=", "sig=x")).status_code == 401
    assert httpx.get(part["url"].partition("?")[0]).status_code == 401
    assert http.get(part["url"].partition("?")[0]).status_code == 200
    result = http.get(f"{base}/runs/{answer.headers['A2A-Run']}/artifacts/result")
    assert (result.text, result.headers["content-type"]) == ("made", "text/plain")
    assert http.get(f"{base}/runs/{answer.headers['A2A-Run']}/artifacts/none").status_code == 404


# --- tasks and their events -------------------------------------------------------------------------------


def test_post_tasks_hands_out_a_task(http: httpx.Client, base: str) -> None:
    message = {"messageId": "p1", "role": "ROLE_USER", "parts": [{"text": "hi"}]}
    answer = http.post(base + "/tasks", json={"message": message})
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["Location"] == f"{base}/tasks/{body['task']['id']}"
    events = events_of(httpx.get(body["sse_url"], timeout=30).content)
    assert datas(events, "result") == [{"value": "HI"}]


def test_events_resume_after_the_last_one_seen(http: httpx.Client, base: str) -> None:
    answer = http.post(base + "/invoke/words", json={"text": "a b c"})
    url = f"{base}/sse/{task_of(answer)}"
    everything = events_of(http.get(url).content)
    for seen in everything[1:]:
        rest = everything[everything.index(seen) + 1 :]
        assert events_of(http.get(url, headers={"Last-Event-ID": seen.id}).content)[1:] == rest
        assert events_of(http.get(f"{url}?after={seen.id}").content)[1:] == rest
    assert http.get(f"{url}?after=x").status_code == 400
    assert http.get(f"{base}/sse/task_none").status_code == 404


def test_a_link_opens_one_stream_only(desk: Running, http: httpx.Client, base: str) -> None:
    first = http.post(base + "/invoke/shout?async=1", json={"text": "a"}).json()
    second = http.post(base + "/invoke/shout?async=1", json={"text": "b"}).json()
    swapped = first["sse_url"].replace(first["task_id"], second["task_id"])
    assert httpx.get(swapped).status_code == 401
    assert httpx.get(first["sse_url"].replace("/sse/", "/tasks/")).status_code == 401


# --- cards, hosts, visibility -----------------------------------------------------------------------------


def test_the_card_and_its_caching(desk: Running, http: httpx.Client, base: str) -> None:
    url = base + "/.well-known/agent-card.json"
    card = http.get(url)
    assert card.json()["supportedInterfaces"][0]["url"] == base
    assert "max-age" in card.headers["cache-control"]
    assert http.get(base + "/card").json() == card.json()
    earlier = http.get(base + "/.well-known/agent.json").json()
    assert {**earlier, **card.json(), "signatures": earlier["signatures"]} == earlier
    etag = card.headers["etag"]
    assert http.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert http.get(url, headers={"If-None-Match": f'W/{etag}, "x"'}).status_code == 304
    assert http.get(url, headers={"If-None-Match": '"x"'}).status_code == 200
    modified = card.headers["last-modified"]
    assert http.get(url, headers={"If-Modified-Since": modified}).status_code == 304
    head = http.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(card.content))


def test_a_private_card_needs_a_key_and_a_public_one_none(desk: Running) -> None:
    private = httpx.get(desk.agent("desk") + "/.well-known/agent-card.json")
    assert private.status_code == 401
    assert private.headers["www-authenticate"].startswith("Bearer")
    public = httpx.get(desk.agent("open") + "/.well-known/agent-card.json")
    assert public.status_code == 200
    assert "securityRequirements" not in public.json()


def test_an_agent_on_a_host_of_its_own(desk: Running, http: httpx.Client) -> None:
    host = f"desk.localhost:{desk.port}"
    card = http.get(desk.url + "/.well-known/agent-card.json", headers={"Host": host})
    assert card.json()["supportedInterfaces"][0]["url"] == f"http://{host}"
    answer = http.post(desk.url + "/invoke/shout", json={"text": "a"}, headers={"Host": host})
    assert answer.json() == "A"
    rpc = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"pageSize": 1}}
    listed = http.post(desk.url + "/", json=rpc, headers={"Host": host})
    assert listed.json()["result"]["pageSize"] == 1
    qualified = http.post(f"{desk.url}/agents/default.desk/invoke/shout", json={"text": "a"})
    assert qualified.json() == "A"


def test_a_foreign_host_name_is_refused_but_for_cards(desk: Running, http: httpx.Client) -> None:
    foreign = {"Host": "rebound.example"}
    assert http.get(desk.url + "/api/v1/agents", headers=foreign).status_code == 400
    assert http.post(desk.agent("desk"), json={}, headers=foreign).status_code == 400
    card = http.get(desk.agent("desk") + "/.well-known/agent-card.json", headers=foreign)
    assert card.json()["supportedInterfaces"][0]["url"] == desk.agent("desk")


def test_a_public_agent_serves_strangers_by_the_tasks_id(desk: Running) -> None:
    base = desk.agent("open")
    message = {"messageId": "same", "role": "ROLE_USER", "parts": [{"text": "hi"}]}
    first = httpx.post(base + "/message:send", json={"message": message}).json()["task"]
    second = httpx.post(base + "/message:send", json={"message": message}).json()["task"]
    assert first["id"] != second["id"]
    assert httpx.get(f"{base}/tasks/{first['id']}").json()["id"] == first["id"]
    assert httpx.get(base + "/tasks").json() == {
        "tasks": [],
        "nextPageToken": "",
        "pageSize": 50,
        "totalSize": 0,
    }
    assert httpx.get(f"{desk.agent('desk')}/tasks/{first['id']}").status_code == 401


def test_credentials(desk: Running) -> None:
    url = desk.agent("desk") + "/invoke/shout"
    body = {"text": "a"}
    assert httpx.post(url, json=body, headers={"X-API-Key": desk.key}).json() == "A"
    both = {"X-API-Key": desk.key, "Authorization": f"bearer {desk.key}"}
    assert httpx.post(url, json=body, headers=both).json() == "A"
    differ = {"X-API-Key": desk.key, "Authorization": "Bearer other"}
    assert httpx.post(url, json=body, headers=differ).status_code == 400
    for wrong in ({"Authorization": "Bearer no"}, {"X-API-Key": "no"}, {"Authorization": "Basic eDp5"}, {}):
        answer = httpx.post(url, json=body, headers=wrong)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"
    assert (
        httpx.post(desk.agent("open") + "/invoke/shout", json=body, headers={"X-API-Key": "no"}).status_code
        == 401
    )


def test_owners_see_their_own(desk: Running, http: httpx.Client) -> None:
    made = http.post(desk.url + "/api/v1/keys", json={"principal": "bob", "label": "t"})
    assert made.status_code == 201
    key = made.json()
    assert key["role"] == "member"
    bob = {"Authorization": f"Bearer {key['key']}"}
    mine = http.post(desk.agent("desk") + "/invoke/shout", json={"text": "a"})
    task, run = task_of(mine), mine.headers["A2A-Run"]
    for path in (f"/tasks/{task}", f"/sse/{task}", f"/runs/{run}/receipt", f"/runs/{run}/artifacts/result"):
        assert httpx.get(desk.agent("desk") + path, headers=bob).status_code == 404, path
    assert httpx.post(f"{desk.agent('desk')}/tasks/{task}:cancel", headers=bob).status_code == 404
    assert httpx.get(f"{desk.url}/api/v1/runs/{run}", headers=bob).status_code == 404
    assert httpx.get(desk.url + "/api/v1/runs", headers=bob).json()["runs"] == []
    his = httpx.post(desk.agent("desk") + "/invoke/shout", json={"text": "b"}, headers=bob)
    assert http.get(f"{desk.url}/api/v1/runs/{his.headers['A2A-Run']}").json()["owner"] == "bob@default"
    assert httpx.get(desk.url + "/api/v1/keys", headers=bob).status_code == 403
    assert "key" not in http.get(desk.url + "/api/v1/keys").json()["keys"][0]
    assert http.delete(f"{desk.url}/api/v1/keys/{key['id']}").status_code == 200
    assert httpx.get(desk.url + "/api/v1/whoami", headers=bob).status_code == 401


def test_another_organisation_sees_only_public_agents(desk: Running, http: httpx.Client) -> None:
    made = http.post(desk.url + "/api/v1/keys", json={"principal": "eve", "org": "acme"}).json()
    eve = {"Authorization": f"Bearer {made['key']}"}
    hidden = httpx.post(desk.agent("desk") + "/invoke/shout", json={"text": "a"}, headers=eve)
    unknown = httpx.post(desk.agent("nothing") + "/invoke/shout", json={"text": "a"}, headers=eve)
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json()["code"] == unknown.json()["code"] == "agent_not_found"
    assert httpx.post(desk.agent("open") + "/invoke/shout", json={"text": "a"}, headers=eve).json() == "A"
    names = {agent["name"] for agent in httpx.get(desk.url + "/api/v1/agents", headers=eve).json()["agents"]}
    assert names == {"open"}


# --- the platform -----------------------------------------------------------------------------------------


def test_the_platforms_own_paths(desk: Running, http: httpx.Client) -> None:
    assert httpx.get(desk.url + "/healthz").json() == {"status": "ok"}
    assert httpx.get(desk.url + "/readyz").status_code == 200
    assert httpx.get(desk.url + "/.well-known/jwks.json").json()["keys"]
    text = httpx.get(desk.url + "/metrics").text
    assert "a2a_http_requests_total" in text
    assert "a2a_streams_open" in text
    whoami = http.get(desk.url + "/api/v1/whoami").json()
    assert (whoami["org"], whoami["role"]) == ("default", "admin")
    assert http.get(desk.url + "/nothing").json()["code"] == "not_found"
    assert http.post(desk.url + "/healthz").headers["allow"] == "GET, HEAD"


def test_the_control_api(desk: Running, http: httpx.Client) -> None:
    agents = http.get(desk.url + "/api/v1/agents").json()["agents"]
    assert {agent["name"] for agent in agents} == {"desk", "open", "talker"}
    one = http.get(desk.url + "/api/v1/agents/desk").json()
    assert one["version"] == "1.2.3"
    assert one["limits"]["concurrency"] == 200
    measure = next(skill for skill in one["skills"] if skill["id"] == "measure")
    assert measure["files"][0]["name"] == "document"
    asked = http.post(desk.agent("desk") + "/invoke/advise", json={"topic": "tea"}).json()
    task = http.get(f"{desk.url}/api/v1/tasks/{asked['task_id']}").json()
    assert task["question"]["text"] == "Which law governs?"
    assert task["url"] == desk.agent("desk")
    assert task["runs"][0]["state"] == "input-required"
    run = http.get(f"{desk.url}/api/v1/runs/{asked['run_id']}").json()
    assert [event["kind"] for event in run["events"]] == ["status"]
    canceled = http.post(f"{desk.url}/api/v1/runs/{asked['run_id']}/cancel").json()
    assert canceled["state"] == "canceled"
    listed = http.get(desk.url + "/api/v1/runs?agent=desk&state=canceled&limit=1").json()
    assert listed["runs"][0]["state"] == "canceled"
    http.post(desk.agent("desk") + "/invoke/fail", json={"why": "loud"})
    lines = http.get(desk.url + "/api/v1/agents/desk/logs").json()["lines"]
    assert any("loud" in line["line"] for line in lines)
    after = http.get(f"{desk.url}/api/v1/agents/desk/logs?after={lines[-1]['no']}").json()["lines"]
    assert after == []
    assert http.get(desk.url + "/api/v1/runs?limit=0").status_code == 400
    assert http.get(desk.url + "/api/v1/runs?state=x").status_code == 400
    assert http.post(desk.url + "/api/v1/keys", json={"principal": "x", "admin": True}).status_code == 400


def test_openapi_is_served(http: httpx.Client, base: str) -> None:
    described = http.get(base + "/openapi.json").json()
    assert described["servers"] == [{"url": base}]
    assert "/invoke/add" in described["paths"]


def test_a_stream_that_opens_just_as_its_task_ends_ends_too(http: httpx.Client, base: str) -> None:
    # Reading what is stored and hearing what is live meet here; many rounds, because the moment is short.
    for _ in range(200):
        task = http.post(base + "/invoke/shout?async=1", json={"text": "x"}).json()["task_id"]
        with http.stream("GET", f"{base}/sse/{task}") as stream:
            lines: list[str] = []
            for line in stream.iter_lines():
                assert not line.startswith(": keep-alive"), "the stream goes on after its task's end"
                lines.append(line)
        states = [json.loads(line[6:])["state"] for line in lines if '"state"' in line]
        assert states[-1] == "completed"
