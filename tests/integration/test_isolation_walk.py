"""The isolation walk: every route of the control API and of an agent's OpenAPI document, every method of A2A
in each generation, MCP, gRPC and SCIM, as somebody of another organisation, as nobody, and as somebody of
the organisation who may do nothing. They see 401, 403 and 404, or the same as of what was never there,
and afterwards nothing has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from orgs_site import Orgs, start

from a2a_cloud.surface.api import cold

CLOSED = frozenset({401, 403, 404})
#: Said by ada's agent, in a file, a secret, a variable: what nobody else may read anywhere.
WORD = "sesame-opens-the-cave"
ROUTES = [
    ("/".join(pattern[2:]), pattern, method)
    for pattern, methods in cold._ROUTES  # pyright: ignore[reportPrivateUsage]
    for method in methods
]
#: What somebody of the organisation reads without any permission: which agents there are, and their own.
PLAIN = frozenset(
    [
        "whoami",
        "agents",
        "agents/*",
        "agents/*/cards",
        "agents/*/cards/*",
        "agents/*/releases",
        "agents/*/releases/*",
        "search",
        "runs",
        "push",
        "hooks",
        "approvals",
        "grants",
        "grants/explain",
        "orgs",
        "orgs/*",
        "limits",
        "sessions",
        "oauth/grants",
        "services",
        "services/bundle",
        "agents/*/evals",
        "agents/*/evals/*",
        "agents/*/prices",
        "credits",
        "usage",
    ]
)
RUBRIC = f"""
[[case]]
name = "says-it"
skill = "tell"
arguments = {{ word = "{WORD}" }}
check = [{{ kind = "equals", value = "{WORD}" }}]
"""


class Victim:
    """What ada has, by the step of a path in front of it; the same that was never there; and marks that are
    in no answer to anybody else."""

    def __init__(self, site: Orgs) -> None:
        self.site = site
        said = site.invoke("ada", "vault", "tell", word=WORD)
        assert said.status_code == 200, said.text
        self.run = said.headers["a2a-run"]
        run = site.api("ada", "GET", f"runs/{self.run}")
        self.task = run["task_id"]
        parked = self._ask("ada", "ask")
        self.parked = parked["id"]
        config = {"taskId": self.parked, "url": "http://127.0.0.1:9/hook", "id": "c1"}
        self._rpc("ada", "CreateTaskPushNotificationConfig", config)
        (push,) = site.api("ada", "GET", "push")["push"] or [{"id": "push_none"}]
        hook = site.api("ada", "POST", "hooks", {"agent": "acme.vault", "skill": "tell", "scheme": "none"})
        grants = site.api("ada", "GET", f"grants?run={self.run}")["grants"]
        self._ask("ada", "beg")
        (approval,) = site.api("ada", "GET", "approvals")["approvals"]
        key_id = site.key("spare", "acme", "member")
        site.api("ada", "PUT", "secrets/TOKEN", {"value": WORD})
        site.api("ada", "PUT", "agents/acme.vault/env/MODE", {"value": WORD})
        token = site.api("ada", "POST", "orgs/acme/scim", {})
        directory = {"Authorization": f"Bearer {token['token']}"}
        made = site.ask("", "POST", "/scim/v2/Users", {"userName": "cy@x.org"}, directory)
        assert made.status_code == 201, made.text
        self.directory, account = directory, made.json()["id"]
        team = site.api("ada", "POST", "teams", {"name": "Cave"})
        link = site.api("ada", "POST", "links", {"kind": "invite", "email": "new@x.org", "role": "member"})
        evaluated = site.api("ada", "POST", "agents/acme.vault/evals", {"rubric": RUBRIC})
        path = f"agents/acme.vault/evals/{evaluated['id']}?wait=20"
        while not site.api("ada", "GET", path)["ended"]:
            pass
        said = {"run": self.run, "verdict": "approve", "notes": WORD}
        review = site.api("ada", "POST", "reviews", said)
        self._pay()
        (charge,) = (one for one in site.api("ada", "GET", "ledger")["transactions"] if "run" in one)
        self.has = {
            "agents": "acme.vault",
            "cards": "1",
            "releases": "1",
            "env": "MODE",
            "runs": self.run,
            "tasks": self.task,
            "push": str(push["id"]),
            "approvals": str(approval["id"]),
            "grants": str(grants[0]["id"]),
            "orgs": "acme",
            "scim": str(token["id"]),
            "members": str(account),
            "teams": str(team["id"]),
            "roles": "idle",
            "hooks": str(hook["id"]),
            "keys": key_id,
            "clients": "client_none",
            "limits": "calls",
            "sessions": "sess_none",
            "links": str(link["id"]),
            "secrets": "TOKEN",
            "services": "vault",
            "sigv4-keys": "key_none",
            "workspaces": "default",
            "files": "notes/said.txt",
            "budgets": "cave-money",
            "evals": str(evaluated["id"]),
            "invoices": "1",
            "ledger": str(charge["id"]),
            "log": "acme",
            "prices": "void",
            "reviews": str(review["id"]),
        }
        self.never = {
            name: f"{value[:-1]}0x" if "_" in value else f"{value}-x" for name, value in self.has.items()
        }
        self.never |= {"releases": "77", "cards": "77", "env": "NO", "secrets": "NO", "limits": "calls-x"}
        named = (
            *("runs", "tasks", "approvals", "grants", "scim", "teams", "hooks", "keys", "links"),
            *("budgets", "ledger", "reviews"),
        )
        self.marks = {WORD, self.parked, "cy@x.org", str(account), *(self.has[name] for name in named)}

    def path(self, pattern: list[str], has: dict[str, str]) -> str:
        """A route's path with the ids of `has`."""
        steps: list[str] = []
        for place, step in enumerate(pattern):
            before = pattern[place - 1] if place else ""
            if step not in ("*", "**"):
                steps.append(step)
            elif before == "*":
                steps.append("checkpoint" if pattern[2] == "log" else "source")  # Of a release.
            else:
                steps.append(has[before])
        return "/" + "/".join(steps)

    def _pay(self) -> None:
        """Prices, credits, a budget, a paid call, an invoice of it, and what invoices say of acme."""
        api, month = self.site.api, datetime.now(UTC).strftime("%Y-%m")
        api("ada", "PUT", "agents/acme.vault/prices/void", {"currency": "credits", "call": "5"})
        api("ada", "PUT", "agents/acme.listed/prices/tell", {"currency": "credits", "call": "5"})
        paid = {"org": "acme", "amount": "100", "currency": "credits", "memo": WORD}
        api("root", "POST", "credits", paid)
        api("root", "POST", "credits", {**paid, "caller": "ada"})
        api("ada", "PUT", "budgets/cave-money", {"amount": "50", "currency": "credits"})
        assert self.site.invoke("ada", "listed", "tell").status_code == 200
        api("ada", "PUT", "billing/party", {"name": WORD})
        api("root", "POST", "billing/clock", {"seconds": 32 * 86_400})
        (invoice,) = api("root", "POST", "invoices", {"month": month, "org": "acme"})["invoices"]
        assert invoice["no"] == 1

    def _ask(self, who: str, skill: str) -> dict[str, Any]:
        said: dict[str, Any] = {
            "messageId": f"m-{skill}",
            "role": "ROLE_USER",
            "parts": [{"data": {"skill": skill, "arguments": {}}}],
        }
        return dict(self._rpc(who, "SendMessage", {"message": said})["task"])

    def _rpc(self, who: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self.site.ask(who, "POST", "/agents/acme.vault", body, {"A2A-Version": "1.0"}).json()
        assert "result" in answer, answer
        return dict(answer["result"])

    def state(self) -> dict[str, Any]:
        """All that could have been changed, as ada sees it."""
        api = self.site.api
        everything = {
            path: api("ada", "GET", path)
            for path in (
                "agents/acme.vault",
                "agents/acme.vault/env",
                f"grants/{self.has['grants']}",
                "keys",
                "hooks",
                "secrets",
                "members",
                "teams",
                "roles",
                "push",
                "links",
                "orgs/acme/scim",
                "workspaces",
                f"approvals/{self.has['approvals']}",
                "approvals/policy",
                "grants/policy",
                "agents/acme.vault/prices",
                "agents/acme.vault/evals",
                "billing/clock",
                "billing/party",
                "budgets",
                "credits",
                "invoices",
                "ledger",
                f"reviews?run={self.run}",
                f"tasks/{self.parked}",
            )
        }
        agent = everything["agents/acme.vault"]  # How often it was called is no change.
        everything["billing/clock"] = everything["billing/clock"]["ahead"]
        everything["agents/acme.vault"] = [agent[name] for name in ("release", "digest", "visibility")]
        for each in everything["workspaces"]["workspaces"]:
            each.pop("head")  # Others' runs write to it, as their grants allow.
        for key in everything["keys"]["keys"]:
            key.pop("last_used", None)
        for key in ("attempts", "next", "at", "state", "reason"):  # A push goes on by itself.
            for each in everything["push"]["push"]:
                each.pop(key, None)
        return everything

    def told(self, path: str, body: str) -> set[str]:
        """Marks in an answer that the request did not bring."""
        return {mark for mark in self.marks if mark in body and mark not in path}


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    site = start(tmp_path_factory.mktemp("isolation"), A2A_TEST_CLOCK="1")
    try:
        yield Victim(site)
    finally:
        code = site.running.stop()
    assert code == 0


@pytest.fixture(autouse=True)
def unchanged(victim: Victim) -> Iterator[None]:
    before = victim.state()
    yield
    after = victim.state()
    assert [(path, before[path], found) for path, found in after.items() if found != before[path]] == []


@pytest.mark.parametrize("who", ["eve", ""], ids=["stranger", "nobody"])
def test_the_control_api_is_closed_to_strangers(victim: Victim, who: str) -> None:
    assert len(ROUTES) > 80
    wrong: list[Any] = []
    for name, pattern, method in ROUTES:
        path, other = victim.path(pattern, victim.has), victim.path(pattern, victim.never)
        body: dict[str, Any] | None = None if method in ("GET", "DELETE") else {}
        answer = victim.site.ask(who, method, path, body)
        told = victim.told(path, answer.text)
        if told or answer.status_code == 500:
            wrong.append((method, name, answer.status_code, told))
        if answer.status_code in CLOSED:
            continue
        # What isn't closed is their own: it looks as if acme's had never been there.
        if not who and name not in ("agents", "search"):
            wrong.append((method, name, answer.status_code, "open to nobody"))
        elif path != other and victim.site.ask(who, method, other, body).status_code != answer.status_code:
            wrong.append((method, name, answer.status_code, "tells that it is there"))
    assert wrong == []


def test_the_control_api_is_closed_to_members_without_permissions(victim: Victim) -> None:
    wrong: list[Any] = []
    for name, pattern, method in ROUTES:
        path = victim.path(pattern, victim.has)
        answer = victim.site.ask("robot", method, path, None if method in ("GET", "DELETE") else {})
        told = victim.told(path, answer.text)
        good = answer.is_success and (name in PLAIN and (method == "GET" or name == "sessions"))
        if told or not (good or answer.status_code in CLOSED or answer.status_code == 400):
            wrong.append((method, name, answer.status_code, told))
    assert wrong == []


def test_the_agents_paths_are_closed(victim: Victim) -> None:
    site, base = victim.site, "/agents/acme.vault"
    document = site.ask("ada", "GET", f"{base}/openapi.json").json()
    ids = {"id": victim.task, "task": victim.task, "taskId": victim.task, "run": victim.run, "skill": "tell"}
    walked = 0
    for path, methods in document["paths"].items():
        at = path
        for name, value in ids.items():
            at = at.replace(f"{{{name}}}", value)
        at = at.replace("{", "x").replace("}", "x")
        for method in methods:
            if method not in ("get", "post", "put", "delete"):
                continue
            body: dict[str, Any] | None = None if method in ("get", "delete") else {}
            for who in ("eve", ""):
                answer = site.ask(who, method.upper(), base + at, body)
                walked += 1
                assert answer.status_code in CLOSED, (who, method, at, answer.status_code, answer.text)
                assert not victim.told(at, answer.text)
            # Another member calls the agent, and sees nothing of ada's.
            answer = site.ask("plain", method.upper(), base + at, body)
            assert answer.status_code < 500
            if "{" in path:
                assert not victim.told(at, answer.text), (method, at)
    for rest in ("receipt", "receipts", "receipt/proof", "receipt/proof?format=cose", "events"):
        at = f"/runs/{victim.run}/{rest}"
        for who in ("eve", "", "plain", "robot"):
            answer = site.ask(who, "GET", base + at)
            assert answer.status_code in CLOSED, (who, at, answer.status_code, answer.text)
            assert not victim.told(at, answer.text)
        assert rest == "events" or site.ask("ada", "GET", base + at).status_code == 200, at
    for path in ("/card", "/docs", "/mcp", "/sessions", "/.well-known/agent.json", "/extendedAgentCard"):
        for who in ("eve", ""):
            assert site.ask(who, "GET", base + path).status_code in CLOSED
    assert walked > 40


def _calls(task: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(version, method, params) of every method that is about a task."""
    config = {"taskId": task, "id": "c1"}
    said = {"messageId": "x1", "role": "ROLE_USER", "taskId": task, "parts": [{"text": "mine"}]}
    yield "1.0", "SendMessage", {"message": said}
    yield "1.0", "SendStreamingMessage", {"message": {**said, "messageId": "x2"}}
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        yield "1.0", method, {"id": task}
    yield "1.0", "ListTasks", {}
    for method in ("GetTaskPushNotificationConfig", "DeleteTaskPushNotificationConfig"):
        yield "1.0", method, config
    yield "1.0", "ListTaskPushNotificationConfigs", {"taskId": task}
    yield "1.0", "CreateTaskPushNotificationConfig", {**config, "url": "http://127.0.0.1:9/"}
    yield "1.0", "GetExtendedAgentCard", {}
    old: dict[str, Any] = {"kind": "message", "messageId": "x3", "role": "user", "taskId": task, "parts": []}
    old["parts"] = [{"kind": "text", "text": "mine"}]
    yield "0.3", "message/send", {"message": old}
    for method in ("tasks/get", "tasks/cancel", "tasks/resubscribe", "tasks/pushNotificationConfig/list"):
        yield "0.3", method, {"id": task}
    for method in ("tasks/get", "tasks/cancel"):
        yield "", method, {"id": task}


def test_a2a_is_closed_in_every_generation(victim: Victim) -> None:
    for version, method, params in _calls(victim.parked):
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"A2A-Version": version} if version else {}
        for who in ("eve", ""):
            answer = victim.site.ask(who, "POST", "/agents/acme.vault", body, headers)
            error = answer.json()["error"]
            assert error["code"] in (-32044, -32041), (version, method, error)
            assert not victim.told(json.dumps(body), answer.text)
        answer = victim.site.ask("plain", "POST", "/agents/acme.vault", body, headers)
        assert not victim.told(json.dumps(body), answer.text), (version, method)
        if method not in ("ListTasks", "GetExtendedAgentCard"):
            assert '"error"' in answer.text, (version, method, answer.text)


def test_mcp_is_closed(victim: Victim) -> None:
    accept = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28"}
    methods: list[tuple[str, dict[str, Any]]] = [
        ("server/discover", {}),
        ("tools/list", {}),
        ("tools/call", {"name": "tell", "arguments": {}}),
        ("resources/list", {}),
        ("tasks/get", {"taskId": victim.parked}),
        ("tasks/cancel", {"taskId": victim.parked}),
        ("tasks/update", {"taskId": victim.parked, "inputResponses": {}}),
    ]
    for method, params in methods:
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {**accept, "Mcp-Method": method, **({"Mcp-Name": "tell"} if method == "tools/call" else {})}
        for who in ("eve", ""):
            answer = victim.site.ask(who, "POST", "/agents/acme.vault/mcp", body, headers)
            assert answer.status_code in CLOSED, (method, answer.status_code, answer.text)
            everything = victim.site.ask(who, "POST", "/mcp", body, headers)
            assert everything.status_code < 500
            assert not victim.told(json.dumps(body), everything.text)
            assert "vault" not in everything.text


def test_grpc_is_closed(victim: Victim) -> None:
    requests: dict[str, Any] = {
        "SendMessage": pb.SendMessageRequest(tenant="acme.vault"),
        "GetTask": pb.GetTaskRequest(tenant="acme.vault", id=victim.parked),
        "ListTasks": pb.ListTasksRequest(tenant="acme.vault"),
        "CancelTask": pb.CancelTaskRequest(tenant="acme.vault", id=victim.parked),
        "GetExtendedAgentCard": pb.GetExtendedAgentCardRequest(tenant="acme.vault"),
    }
    with grpc.insecure_channel(victim.site.running.grpc) as channel:
        for who in ("eve", ""):
            said = [("authorization", f"Bearer {victim.site.keys[who]}")] if who else []
            for method, request in requests.items():
                call: Any = cast("Any", channel).unary_unary(f"/lf.a2a.v1.A2AService/{method}")
                with pytest.raises(grpc.RpcError) as caught:
                    call(request.SerializeToString(), metadata=said, timeout=20)
                error: Any = caught.value
                assert error.code().name in ("NOT_FOUND", "UNAUTHENTICATED"), (who, method, error.details())
                assert not victim.told(victim.parked, error.details())


def test_scim_of_another_organisation_is_closed(victim: Victim) -> None:
    made = victim.site.api("root", "POST", "orgs/globex/scim", {})
    sent = {"Authorization": f"Bearer {made['token']}"}
    user, team = victim.has["members"], victim.has["teams"]
    for method, path, body in (
        ("GET", "/Users", None),
        ("GET", "/Groups", None),
        ("GET", f"/Users/{user}", None),
        ("PUT", f"/Users/{user}", {"userName": "cy@x.org"}),
        ("PATCH", f"/Users/{user}", {"Operations": [{"op": "replace", "value": {"active": False}}]}),
        ("DELETE", f"/Users/{user}", None),
        ("GET", f"/Groups/{team}", None),
        ("PUT", f"/Groups/{team}", {"displayName": "Mine"}),
        ("DELETE", f"/Groups/{team}", None),
    ):
        answer = victim.site.ask("", method, f"/scim/v2{path}", body, sent)
        assert answer.status_code == (200 if path in ("/Users", "/Groups") else 404), (method, path)
        assert not victim.told(path, answer.text)
    victim.site.api("root", "DELETE", f"orgs/globex/scim/{made['id']}")
