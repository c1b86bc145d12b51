"""Organisations against a platform as a user starts it: who sees which agent, which skill asks for what, the
command line, and a directory that provisions people as Okta and Entra do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from orgs_site import VISIBLE, Orgs, start

SCIM = "urn:ietf:params:scim:api:messages:2.0"
SEES = {"": {"open"}, "eve": {"listed", "signed", "open"}, "root": {"signed", "open"}, "ada": set(VISIBLE)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orgs]:
    found = start(tmp_path_factory.mktemp("orgs"))
    yield found
    assert found.running.stop() == 0


# --- who sees an agent ------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", SEES, ids=lambda who: who or "nobody")
def test_who_sees_which_agent_everywhere(site: Orgs, who: str) -> None:
    seen = SEES[who]
    listed = {each["name"] for each in site.ask(who, "GET", "/api/v1/agents").json()["agents"]}
    assert listed == seen
    for name in VISIBLE:
        base = f"/agents/acme.{name}"
        hidden = {401, 404} if not who else {404}
        for path in ("/.well-known/agent-card.json", "/openapi.json"):
            assert (site.ask(who, "GET", base + path).status_code == 200) == (name in seen)
        answer = site.invoke(who, name, "tell", word="x")
        assert answer.status_code == 200 if name in seen else answer.status_code in hidden
        one = site.ask(who, "GET", f"/api/v1/agents/acme.{name}")
        assert one.status_code == (200 if name in seen else 404)
        ask: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        said = site.ask(who, "POST", f"{base}/mcp", ask, {"Accept": "application/json, text/event-stream"})
        assert (said.status_code in (401, 404)) == (name not in seen)


def test_the_role_says_whether_somebody_calls_at_all(site: Orgs) -> None:
    assert site.invoke("plain", "vault", "tell").status_code == 200
    refused = site.invoke("robot", "vault", "tell")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "agents.call" in refused.text
    assert site.invoke("robot", "open", "tell").status_code == 200  # As anybody may.
    call = {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "x"}]}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": call}
    answer = site.ask("robot", "POST", "/agents/acme.vault", body, {"A2A-Version": "1.0"})
    assert answer.json()["error"]["data"][0]["reason"] == "FORBIDDEN"


# --- scopes of skills -------------------------------------------------------------------------------------


def test_a_skill_asks_for_scopes_in_every_dialect(site: Orgs) -> None:
    assert site.invoke("plain", "open", "pay", amount=3).status_code == 403
    assert site.invoke("", "open", "pay", amount=3).status_code == 401
    assert site.invoke("eve", "open", "pay", amount=3).status_code == 403  # Hers count in globex alone.
    assert site.invoke("ada", "vault", "pay", amount=3).json() == 3  # Who gives out roles has every word.
    site.api("ada", "PUT", "roles/payer", {"permissions": ["agents.call", "invoices.pay"]})
    site.key("pia", "acme", "payer")
    assert site.invoke("pia", "vault", "pay", amount=3).json() == 3
    refused = site.invoke("pia", "vault", "void", amount=3)
    assert (refused.status_code, refused.json()["scope"]) == (403, "invoices.void")
    asked: dict[str, Any] = {"skill": "pay", "arguments": {"amount": 1}}
    new: dict[str, Any] = {"role": "ROLE_USER", "messageId": "m-1", "parts": [{"data": asked}]}
    old: dict[str, Any] = {"role": "user", "kind": "message", "messageId": "m-2", "parts": []}
    old["parts"] = [{"kind": "data", "data": asked}]
    for version, method, said in (("1.0", "SendMessage", new), ("0.3", "message/send", old)):
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": said}}
        for who, good in (("pia", True), ("plain", False)):
            answer = site.ask(who, "POST", "/agents/acme.vault", body, {"A2A-Version": version}).json()
            assert ("result" in answer) == good, answer
    call: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    call["params"] = {"name": "pay", "arguments": {"amount": 2}}
    for who, good in (("pia", True), ("plain", False)):
        answer = _mcp(site, who, call)
        assert ("error" not in answer and not answer["result"].get("isError")) == good, answer


def _mcp(site: Orgs, who: str, call: dict[str, Any]) -> dict[str, Any]:
    base, accept = "/agents/acme.vault/mcp", {"Accept": "application/json, text/event-stream"}
    hello = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    begun = site.ask(who, "POST", base, hello, accept)
    session = {"Mcp-Session-Id": begun.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    site.ask(
        who, "POST", base, {"jsonrpc": "2.0", "method": "notifications/initialized"}, {**accept, **session}
    )
    answer = site.ask(who, "POST", base, call, {**accept, **session})
    if answer.headers["content-type"].startswith("text/event-stream"):
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
        return dict(json.loads(lines[-1]))
    return dict(answer.json())


def test_the_card_says_which_scopes(site: Orgs) -> None:
    card = site.ask("ada", "GET", "/agents/acme.vault/.well-known/agent-card.json").json()
    skills = {each["id"]: each for each in card["skills"]}
    wanted = skills["void"]["securityRequirements"][0]["schemes"]
    assert next(iter(wanted.values()))["list"] == ["invoices.pay", "invoices.void"]
    assert "securityRequirements" not in skills["tell"]
    document = site.ask("ada", "GET", "/agents/acme.open/openapi.json").json()
    assert document["paths"]["/invoke/pay"]["post"]["security"]


# --- who may call, and why --------------------------------------------------------------------------------


def test_access_is_explained(site: Orgs) -> None:
    done = site.a2a("ada", "access", "explain", "plain@acme", "acme.vault/pay")
    assert done.returncode == 0, done.stderr
    assert "plain@acme (key, member) may not call acme.vault/pay" in done.stdout
    assert "no   scope: the skill requires invoices.pay, which the caller lacks" in done.stdout
    assert "yes  visibility: the caller is of the agent's organisation acme" in done.stdout
    done = site.a2a("ada", "access", "explain", "anonymous", "acme.open/tell", "--json")
    (one,) = json.loads(done.stdout)["callers"]
    assert (one["who"], one["allowed"]) == ("anonymous", True)
    found = site.api("ada", "GET", "access?agent=acme.listed")
    ways = {(each["who"].rpartition(" ")[2], each["via"], each["allowed"]) for each in found["callers"]}
    assert ("anybody@globex", "organisation", True) in ways
    assert ("anonymous", "anonymous", False) in ways
    assert ("robot@acme", "key", False) in ways
    (stranger,) = site.api("ada", "GET", "access?agent=acme.vault&principal=eve@globex")["callers"]
    assert (stranger["who"], stranger["allowed"]) == ("anybody@globex", False)
    # Verdicts are those of the calls themselves, each in its own words.
    for who, agent in (("plain", "vault"), ("robot", "vault"), ("eve", "signed")):
        (said,) = site.api(who, "GET", f"access?agent=acme.{agent}&skill=tell&principal=me")["callers"]
        assert said["allowed"] == (site.invoke(who, agent, "tell").status_code == 200)
    assert site.ask("plain", "GET", "/api/v1/access?agent=acme.vault&principal=ada@acme").status_code == 403
    assert site.ask("eve", "GET", "/api/v1/access?agent=acme.vault").status_code == 404
    assert site.ask("eve", "GET", "/api/v1/access?agent=acme.open").status_code == 403


# --- a directory ------------------------------------------------------------------------------------------


class Directory:
    """A directory's side of SCIM."""

    def __init__(self, site: Orgs, org: str = "acme", by: str = "ada", role: str = "") -> None:
        for each in site.api(by, "GET", f"orgs/{org}/scim")["tokens"]:
            site.api(by, "DELETE", f"orgs/{org}/scim/{each['id']}")
        made = site.api(by, "POST", f"orgs/{org}/scim", {"role": role} if role else {})
        self.url, self.token = made["url"], made["token"]

    def ask(self, method: str, path: str, body: Any = None, status: int = 200, **params: str) -> Any:
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
        with httpx.Client(trust_env=False, timeout=30) as client:
            url = f"{self.url}{path}"
            answer = client.request(method, url, json=body, params=params or None, headers=sent)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/scim+json"
        return answer.json() if answer.content else None

    def patch(self, path: str, *operations: dict[str, Any], status: int = 200) -> Any:
        body = {"schemas": [f"{SCIM}:PatchOp"], "Operations": list(operations)}
        return self.ask("PATCH", path, body, status)

    def user(self, name: str, **more: Any) -> Any:
        body = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": name,
            "name": {"givenName": name.partition("@")[0], "familyName": "Example"},
            "emails": [{"primary": True, "value": name, "type": "work"}],
            "active": True,
            **more,
        }
        return self.ask("POST", "/Users", body, 201)


def test_okta_provisions_and_ends_people(site: Orgs) -> None:
    directory = Directory(site, role="developer")
    assert directory.ask("GET", "/Users", filter='userName eq "lou@x.org"')["totalResults"] == 0
    lou = directory.user("lou@x.org", externalId="00u1")
    assert (lou["active"], lou["externalId"], lou["name"]["familyName"]) == (True, "00u1", "Example")
    again = directory.ask("POST", "/Users", {"userName": "LOU@x.org"}, 409)
    assert (again["status"], again["scimType"]) == ("409", "uniqueness")
    (member,) = [
        each for each in site.api("ada", "GET", "members")["members"] if each["email"] == "lou@x.org"
    ]
    assert (member["role"], member["active"], member["account"]) == ("developer", True, lou["id"])
    site.api("ada", "POST", "keys", {"principal": "lou@x.org", "role": "developer"})
    # Okta's way to say that somebody left.
    gone = directory.patch(f"/Users/{lou['id']}", {"op": "replace", "value": {"active": False}})
    assert gone["active"] is False
    keys = [each for each in site.api("ada", "GET", "keys")["keys"] if each["principal"] == "lou@x.org"]
    assert all(each["revoked"] for each in keys)
    back = directory.patch(f"/Users/{lou['id']}", {"op": "replace", "value": {"active": True}})
    assert back["active"] is True
    directory.ask("DELETE", f"/Users/{lou['id']}", status=204)
    directory.ask("GET", f"/Users/{lou['id']}", status=404)
    kinds = [each["kind"] for each in site.api("ada", "GET", "audit?kind=member")["events"]]
    assert kinds[-4:] == ["member.added", "member.suspended", "member.activated", "member.removed"]


def test_entra_changes_people_and_groups(site: Orgs) -> None:
    directory = Directory(site)
    ann, ben = directory.user("ann@x.org"), directory.user("ben@x.org")
    changed = directory.patch(
        f"/Users/{ann['id']}",
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "ann.new@x.org"},
        {"op": "Add", "path": "name.givenName", "value": "Anna"},
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Add", "value": {"displayName": "Anna E.", "name.familyName": "Else"}},
    )
    assert changed["emails"][0]["value"] == "ann.new@x.org"
    assert (changed["name"]["givenName"], changed["name"]["familyName"]) == ("Anna", "Else")
    assert (changed["active"], changed["displayName"]) == (False, "Anna E.")
    # The account's own address is the person's: a directory does not change it.
    emails = {each["email"] for each in site.api("ada", "GET", "members")["members"]}
    assert "ann@x.org" in emails
    group = directory.ask(
        "POST", "/Groups", {"displayName": "Payers", "externalId": "g1", "members": []}, 201
    )
    at = f"/Groups/{group['id']}"
    people = [{"value": ann["id"]}, {"value": ben["id"]}]
    full = directory.patch(at, {"op": "Add", "path": "members", "value": people})
    assert {each["value"] for each in full["members"]} == {ann["id"], ben["id"]}
    site.api("ada", "PUT", f"teams/{group['id']}", {"role": "approver"})
    (shown,) = [each for each in site.api("ada", "GET", "teams")["teams"] if each["name"] == "Payers"]
    assert (shown["role"], shown["members"]) == ("approver", ["ann@x.org", "ben@x.org"])
    left = directory.patch(at, {"op": "Remove", "path": f'members[value eq "{ann["id"]}"]'})
    assert [each["value"] for each in left["members"]] == [ben["id"]]
    left = directory.patch(at, {"op": "Remove", "path": "members", "value": [{"value": ben["id"]}]})
    assert left["members"] == []
    named = directory.patch(at, {"op": "Replace", "value": {"id": group["id"], "displayName": "Buyers"}})
    assert named["displayName"] == "Buyers"
    directory.patch(at, {"op": "Add", "path": "members", "value": [{"value": "acct_x"}]}, status=400)
    bare = directory.ask("GET", "/Groups", excludedAttributes="members", filter='displayName eq "buyers"')
    assert bare["totalResults"] == 1
    assert "members" not in bare["Resources"][0]
    directory.ask("DELETE", at, status=204)
    page = directory.ask("GET", "/Users", startIndex="2", count="1")
    assert (page["startIndex"], page["itemsPerPage"], len(page["Resources"])) == (2, 1, 1)
    assert page["totalResults"] >= 2


def test_a_directory_sees_its_organisation_alone_and_makes_no_owner(site: Orgs) -> None:
    acme, globex = Directory(site), Directory(site, "globex", "root")
    dee = acme.user("dee@x.org")
    assert globex.ask("GET", "/Users")["totalResults"] == 0
    for method in ("GET", "DELETE"):
        globex.ask(method, f"/Users/{dee['id']}", status=404)
    globex.patch(f"/Users/{dee['id']}", {"op": "replace", "value": {"active": False}}, status=404)
    # The same person in the other organisation: one account, two memberships, each with its own end.
    twin = globex.user("dee@x.org")
    assert twin["id"] == dee["id"]
    globex.ask("DELETE", f"/Users/{twin['id']}", status=204)
    assert acme.ask("GET", f"/Users/{dee['id']}")["active"] is True
    site.api("root", "PUT", "members/dee@x.org?org=acme", {"role": "owner"})
    acme.ask("DELETE", f"/Users/{dee['id']}", status=403)
    assert site.ask("ada", "PUT", "/api/v1/members/dee@x.org", {"role": "member"}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "/Users?filter=userName", None, 400, "invalidFilter"),
        ("GET", '/Users?filter=userName sw "a"', None, 400, "invalidFilter"),
        ("GET", '/Users?filter=userName eq "a" or userName eq "b"', None, 400, "invalidFilter"),
        ("GET", "/Users?startIndex=x", None, 400, "invalidValue"),
        ("POST", "/Users", {}, 400, "invalidValue"),
        ("POST", "/Users", {"userName": "no address"}, 400, "invalidValue"),
        ("POST", "/Users", {"userName": "e@x.org", "active": "maybe"}, 400, "invalidValue"),
        ("POST", "/Users", [], 400, "invalidSyntax"),
        ("POST", "/Groups", {"displayName": "X", "members": "all"}, 400, "invalidValue"),
        ("PUT", "/Users/acct_x", {"userName": "x@x.org"}, 404, None),
        ("GET", "/Nothing", None, 404, None),
        ("PUT", "/Users", {}, 405, None),
    ],
    ids=lambda value: None if isinstance(value, dict | list) else str(value)[:24],
)
def test_bad_requests_are_told_in_scims_words(
    site: Orgs, method: str, path: str, body: Any, status: int, kind: str | None
) -> None:
    error = Directory(site).ask(method, path, body, status)
    assert error["schemas"] == [f"{SCIM}:Error"]
    assert (error["status"], error.get("scimType")) == (str(status), kind)
    assert error["detail"]


def test_scim_is_closed_without_its_own_token(site: Orgs) -> None:
    for who in ("", "ada", "root"):
        answer = site.ask(who, "GET", "/scim/v2/Users")
        assert answer.status_code == 401
        assert answer.json()["schemas"] == [f"{SCIM}:Error"]
    token = Directory(site).token
    assert site.ask("", "GET", "/api/v1/whoami", headers={"X-API-Key": token}).status_code == 401
    config = site.ask(
        "", "GET", "/scim/v2/ServiceProviderConfig", headers={"Authorization": f"Bearer {token}"}
    )
    assert config.json()["patch"] == {"supported": True}
    schemas = site.ask("", "GET", "/scim/v2/Schemas", headers={"Authorization": f"Bearer {token}"}).json()
    assert schemas["totalResults"] == 2


# --- the command line -------------------------------------------------------------------------------------


def test_people_and_changes_on_the_command_line(site: Orgs) -> None:
    Directory(site).user("kim@x.org")
    for words, said in (
        (("members", "ls"), "kim@x.org"),
        (("members", "set", "kim@x.org", "--role", "viewer"), "viewer"),
        (("teams", "create", "Night"), "Night"),
        (("teams", "add", "Night", "kim@x.org"), "kim@x.org is in Night"),
        (("teams", "set", "Night", "--role", "approver"), "approver"),
        (("teams", "ls"), "kim@x.org"),
        (("teams", "drop", "Night", "kim@x.org"), "not in Night"),
        (("teams", "rm", "Night"), "Removed"),
        (("roles", "set", "reader", "runs.read", "--description", "Reads"), "reader"),
        (("roles", "ls"), "reader"),
        (("roles", "rm", "reader"), "Removed"),
        (("members", "set", "kim@x.org", "--suspend"), "suspended"),
        (("members", "rm", "kim@x.org"), "no member any more"),
        (("orgs", "ls"), "acme"),
        (("scim", "ls", "acme"), "ada@acme"),
        (("audit", "ls", "--kind", "role", "--by", "ada@acme"), "permissions=runs.read"),
    ):
        done = site.a2a("ada", *words)
        assert done.returncode == 0, (words, done.stderr)
        assert said in done.stdout, (words, done.stdout)
    assert site.a2a("plain", "members", "ls").returncode != 0


def test_every_change_of_the_control_plane_is_in_the_log(site: Orgs) -> None:
    site.api("ada", "PUT", "secrets/TOKEN", {"value": "s3cret-value"})
    site.api("ada", "DELETE", "secrets/TOKEN")
    site.api("ada", "PUT", "agents/acme.vault/env/MODE", {"value": "fast"})
    site.api("ada", "DELETE", "agents/acme.vault/env/MODE")
    site.api("ada", "PUT", "workspaces/plans")
    hook = {"agent": "acme.vault", "skill": "tell", "scheme": "none"}
    made = site.api("ada", "POST", "hooks", hook)
    site.api("ada", "POST", f"hooks/{made['id']}/rotate", {})
    site.api("ada", "DELETE", f"hooks/{made['id']}")
    site.api("ada", "PUT", "grants/policy", {"read": ["**"]})
    site.api("ada", "PUT", "grants/policy", {})
    site.ask("ada", "PUT", "/api/v1/approvals/policy", b"", {"Content-Type": "application/toml"})
    site.api("ada", "POST", "agents/acme.open/promote", {"release": 1})
    site.api("ada", "POST", "agents/acme.open/deprecate", {"major": 0, "until": "2090-01-01T00:00:00Z"})
    site.api("ada", "POST", "agents/acme.open/deprecate", {"major": 0})
    site.api("ada", "DELETE", "agents/acme.open?grace=1000")
    site.api("ada", "POST", "agents/acme.open/restore")
    events = site.api("ada", "GET", "audit?changes=1&limit=1000")["events"]
    kinds = {each["kind"] for each in events}
    assert kinds >= {
        "org.made",
        "key.created",
        "role.made",
        "agent.made",
        "release.begun",
        "release.ready",
        "agent.promoted",
        "agent.deprecated",
        "agent.deleted",
        "agent.restored",
        "secret.set",
        "secret.removed",
        "variable.set",
        "variable.removed",
        "workspace.made",
        "hook.made",
        "hook.key_rotated",
        "hook.removed",
        "policy",
    }
    assert {each["caller"] for each in events if each["kind"].startswith("agent.")} == {"ada@acme"}
    assert "s3cret-value" not in json.dumps(events)
