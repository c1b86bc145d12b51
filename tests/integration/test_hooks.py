"""Webhooks that come in, against a platform as a user starts it: made on the command line, signed as their
senders sign, run once however often they come."""

from __future__ import annotations

import base64
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

from running import AGENTS, SOURCE, Running, start_platform

AGENT = '''
from typing import Any

from a2a_cloud import Context, Refuse, skill


@skill
async def keep(event: Any, headers: dict[str, str], delivery_id: str, event_type: str) -> dict[str, Any]:
    """Say what came."""
    return {"event": event, "headers": headers, "id": delivery_id, "type": event_type}


@skill
async def order(item: str, count: int = 1) -> str:
    """Takes members of the body."""
    return f"{count} {item}"


@skill
async def write(ctx: Context, path: str) -> str:
    """Writes a file."""
    await ctx.workspace.write(path, "words")
    return "written"
'''
MANIFEST = """
name = "receiver"
description = "Takes webhooks"

[grant]
write = ["notes/**"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("hooks")
    folder = home / "receiver"
    folder.mkdir()
    (folder / "a2a.toml").write_text(MANIFEST)
    (folder / "agent.py").write_text(AGENT)
    running = start_platform([folder, AGENTS / "desk"], home)
    yield running
    running.stop()


@pytest.fixture
def http(site: Running) -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


def a2a(site: Running, *words: str, stdin: str = "") -> Any:
    """The command line's answer."""
    env = {**os.environ, "A2A_URL": site.url, "A2A_KEY": site.key, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli", *words, "--json"],
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def result(site: Running, http: httpx.Client, answer: httpx.Response) -> Any:
    """What the run of a delivery returned."""
    task = answer.headers["A2A-Task"]
    for _ in range(200):
        shown = http.get(f"{site.url}/agents/receiver/tasks/{task}", headers=site.auth).json()
        if shown["status"]["state"] == "TASK_STATE_COMPLETED":
            return shown["artifacts"][0]["parts"][0].get("data") or shown["artifacts"][0]["parts"][0]["text"]
        assert shown["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"), shown
        time.sleep(0.05)
    raise AssertionError("not done")


def github(secret: str, body: bytes, delivery: str, event: str = "issues") -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-GitHub-Delivery": delivery,
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, sha256).hexdigest(),
    }


def test_github(site: Running, http: httpx.Client) -> None:
    made = a2a(site, "hooks", "create", "receiver", "keep", "--scheme", "github", "--label", "issues")
    url, secret = made["url"], made["secret"]
    assert url.startswith(f"{site.url}/agents/receiver/hooks/keep/")
    body = b'{"action": "opened"}'
    ping = http.post(url, content=b"{}", headers=github(secret, b"{}", "p", "ping"))
    assert (ping.status_code, ping.json()) == (200, {"pong": True})
    first = http.post(url, content=body, headers=github(secret, body, "d-1"))
    assert first.status_code == 202, first.text
    came = result(site, http, first)
    assert came["event"] == {"action": "opened"}
    assert (came["id"], came["type"]) == ("d-1", "issues")
    assert "x-hub-signature-256" not in came["headers"]
    again = http.post(url, content=body, headers={**github(secret, body, "d-1"), "X-Retry": "1"})
    assert (again.status_code, again.json()) == (202, first.json())
    other = http.post(url, content=body, headers=github(secret, body, "d-2"))
    assert other.json()["run_id"] != first.json()["run_id"]
    run = http.get(f"{site.url}/api/v1/runs/{first.json()['run_id']}", headers=site.auth).json()
    assert run["owner"] == "admin@default"


def test_what_is_refused(site: Running, http: httpx.Client) -> None:
    made = a2a(site, "hooks", "create", "receiver", "keep", "--scheme", "github")
    url, secret = made["url"], made["secret"]
    headers = github(secret, b"{}", "d-1")
    wrong = http.post(url, content=b"{ }", headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthenticated")
    assert wrong.headers["content-type"] == "application/problem+json"
    assert secret not in wrong.text
    unknown = http.post(url[:-1] + ("A" if url[-1] != "A" else "B"), content=b"{}", headers=headers)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    elsewhere = http.post(url.replace("/keep/", "/order/"), content=b"{}", headers=headers)
    assert elsewhere.status_code == 404
    assert http.get(url).status_code == 405
    assert http.post(url.rpartition("/")[0], content=b"{}").status_code in (401, 404)
    broken = http.post(url, content=b"{", headers=github(secret, b"{", "d-2"))
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed")
    large = http.post(url, content=b"x" * (17 << 20), headers=headers)
    assert large.status_code == 413
    log = site.log.read_text()
    assert secret not in log
    assert url.rpartition("/")[2] not in log


def test_a_key_of_the_senders_own_does_no_harm(site: Running, http: httpx.Client) -> None:
    made = a2a(site, "hooks", "create", "receiver", "order", "--scheme", "none")
    answer = http.post(made["url"], json={"item": "tea"}, headers={"Authorization": "Basic dXNlcjpwYXNz"})
    assert answer.status_code == 202, answer.text
    assert result(site, http, answer) == "1 tea"


def test_a_sender_chooses_no_release(site: Running, http: httpx.Client) -> None:
    made = a2a(site, "hooks", "create", "receiver", "order", "--scheme", "none")
    numbered = made["url"].replace("/agents/receiver/", "/agents/1--receiver/")
    assert http.post(numbered, json={"item": "x"}).status_code == 404
    host = {"Host": f"1--receiver.localhost:{site.port}"}
    below = site.url + made["url"].partition("/agents/receiver")[2]
    assert http.post(below, json={"item": "x"}, headers=host).status_code == 404
    other = http.post(made["url"], json={"item": "x"}, headers={"A2A-Release": "99"})
    assert other.status_code == 202, other.text


def test_the_same_body_without_an_id_is_one_delivery(site: Running, http: httpx.Client) -> None:
    made = a2a(site, "hooks", "create", "receiver", "order", "--scheme", "none", "--window", "86400")
    one, two = (http.post(made["url"], json={"item": "tea", "count": 2}).json() for _ in range(2))
    assert one == two
    three = http.post(made["url"], json={"item": "tea", "count": 3}).json()
    assert three != one


def test_stripe(site: Running, http: httpx.Client) -> None:
    secret = "whsec_of_the_endpoint_at_stripe"
    made = a2a(
        site,
        "hooks",
        "create",
        "receiver",
        "keep",
        "--scheme",
        "stripe",
        "--secret-stdin",
        stdin=secret + "\n",
    )
    assert "secret" not in made
    body = b'{"id": "evt_1", "type": "charge.succeeded"}'

    def send(at: int) -> httpx.Response:
        digest = hmac.new(secret.encode(), b"%d." % at + body, sha256).hexdigest()
        return http.post(made["url"], content=body, headers={"Stripe-Signature": f"t={at},v1={digest}"})

    now = int(time.time())
    first = send(now)
    assert first.status_code == 202
    assert result(site, http, first)["id"] == "evt_1"
    assert send(now - 10).json() == first.json()
    assert send(now - 1000).status_code == 401


def test_slack(site: Running, http: httpx.Client) -> None:
    secret = "8f742231b10e8888abcd99yyyzzz85a5"
    made = a2a(
        site, "hooks", "create", "receiver", "keep", "--scheme", "slack", "--secret-stdin", stdin=secret
    )

    def send(body: bytes, kind: str) -> httpx.Response:
        at = str(int(time.time()))
        digest = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, sha256).hexdigest()
        headers = {"X-Slack-Signature": f"v0={digest}", "X-Slack-Request-Timestamp": at, "Content-Type": kind}
        return http.post(made["url"], content=body, headers=headers)

    verified = send(b'{"type": "url_verification", "challenge": "3eZbrw1a"}', "application/json")
    assert verified.json() == {"challenge": "3eZbrw1a"}
    command = send(b"command=%2Fask&text=hi&trigger_id=1.2", "application/x-www-form-urlencoded")
    assert (command.status_code, command.content) == (200, b"")
    came = result(site, http, command)
    assert (came["type"], came["event"]["text"]) == ("/ask", "hi")


def test_hmac_in_a_header_of_ones_own(site: Running, http: httpx.Client) -> None:
    options = [
        "--header",
        "X-Sig",
        "--encoding",
        "base64",
        "--id-header",
        "X-Id",
        "--timestamp-header",
        "X-At",
    ]
    made = a2a(site, "hooks", "create", "receiver", "order", "--scheme", "hmac", *options)
    at, body = str(int(time.time())), b'{"item": "cup"}'
    digest = hmac.new(made["secret"].encode(), f"{at}.".encode() + body, sha256).digest()
    headers = {"X-Sig": base64.b64encode(digest).decode(), "X-At": at, "X-Id": "1"}
    first = http.post(made["url"], content=body, headers=headers)
    assert first.status_code == 202, first.text
    assert result(site, http, first) == "1 cup"
    # A second delivery under the same id: nothing runs again.
    assert http.post(made["url"], content=body, headers=headers).json() == first.json()


def test_a_body_that_does_not_fit_the_skill_is_refused(site: Running, http: httpx.Client) -> None:
    made = a2a(site, "hooks", "create", "receiver", "order", "--scheme", "none")
    answer = http.post(made["url"], json={"item": "tea", "count": "many"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_params")
    assert answer.json()["field"] == "$.count"


def test_its_runs_may_do_no_more_than_the_hook_leaves_them(site: Running, http: httpx.Client) -> None:
    wide = a2a(site, "hooks", "create", "receiver", "write", "--scheme", "none")
    assert result(site, http, http.post(wide["url"], json={"path": "notes/a.md"})) == "written"
    narrow = a2a(
        site,
        "hooks",
        "create",
        "receiver",
        "write",
        "--scheme",
        "none",
        "--grant",
        '{"write": ["notes/b/**"]}',
    )
    answer = http.post(narrow["url"], json={"path": "notes/a.md"})
    task = f"{site.url}/agents/receiver/tasks/{answer.json()['task_id']}"
    for _ in range(200):
        state = http.get(task, headers=site.auth).json()["status"]["state"]
        if state not in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"):
            break
        time.sleep(0.05)
    assert state == "TASK_STATE_FAILED"


def test_a_delivery_survives_a_crash_and_its_redelivery_finds_it(site: Running, http: httpx.Client) -> None:
    made = a2a(site, "hooks", "create", "receiver", "order", "--scheme", "github")
    body = b'{"item": "pot"}'
    headers = github(made["secret"], body, "d-9")
    first = http.post(made["url"], content=body, headers=headers)
    before = site.url
    site.kill()
    site.restart()
    url = made["url"].replace(before, site.url)
    with httpx.Client(timeout=30) as fresh:
        again = fresh.post(url, content=body, headers=headers)
    assert again.json() == first.json()


def test_rotated_listed_and_removed(site: Running, http: httpx.Client) -> None:
    made = a2a(site, "hooks", "create", "receiver", "order", "--scheme", "none")
    moved = a2a(site, "hooks", "rotate", made["id"], "--grace", "3600")
    assert moved["old_key_until"]
    for url in (made["url"], moved["url"]):
        assert http.post(url, json={"item": "tea"}).status_code == 202
    moved = a2a(site, "hooks", "rotate", made["id"])
    assert http.post(made["url"], json={"item": "tea"}).status_code == 404
    rows = a2a(site, "hooks", "ls", "receiver")["hooks"]
    row = next(each for each in rows if each["id"] == made["id"])
    assert "url" not in row
    assert moved["url"].rpartition("/")[2] not in json.dumps(rows)
    a2a(site, "hooks", "rm", made["id"])
    assert http.post(moved["url"], json={"item": "tea"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"agent": "nobody", "skill": "x", "scheme": "none"}, 404, id="agent"),
        pytest.param({"agent": "receiver", "skill": "x", "scheme": "none"}, 404, id="skill"),
        pytest.param({"agent": "receiver", "skill": "keep", "scheme": "rot13"}, 400, id="scheme"),
        pytest.param({"agent": "1--receiver", "skill": "keep", "scheme": "none"}, 400, id="release"),
        pytest.param({"agent": "receiver", "skill": "keep", "scheme": "stripe"}, 400, id="secret"),
        pytest.param({"agent": "desk", "skill": "measure", "scheme": "none"}, 400, id="file"),
        pytest.param(
            {"agent": "receiver", "skill": "keep", "scheme": "none", "grant": {"write": "x"}}, 400, id="grant"
        ),
        pytest.param(
            {"agent": "receiver", "skill": "keep", "scheme": "hmac", "checks": {"header": "a b"}},
            400,
            id="header",
        ),
    ],
)
def test_what_can_not_be_made(site: Running, http: httpx.Client, body: dict[str, Any], status: int) -> None:
    answer = http.post(f"{site.url}/api/v1/hooks", json=body, headers=site.auth)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
    assert http.post(f"{site.url}/api/v1/hooks", json=body).status_code == 401
