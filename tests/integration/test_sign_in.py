"""Signing in over HTTP as browsers do: the first admin, invitations, recovery, sessions, and everything that
others might try."""

from __future__ import annotations

import http.client
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from visitor import Answer, Visitor

from running import Running, start_platform

ADA, SECRET = "ada@example.com", "three green teapots sing"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([], tmp_path_factory.mktemp("people"), A2A_LIMITS="off")
    yield running
    running.stop()


def first_link(site: Running) -> str:
    end = time.monotonic() + 10
    while not (found := re.findall(r"/invite/[A-Za-z0-9_-]{43}", site.log.read_text())):
        assert time.monotonic() < end, site.log.read_text()
        time.sleep(0.02)
    return found[-1]


def api(site: Running, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
    parts = urlsplit(site.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {key or site.key}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def ada(site: Running) -> Visitor:
    """The first admin, signed in."""
    visitor = Visitor(site.url)
    link = first_link(site)
    made = visitor.fill(link, {"email": ADA, "name": "Ada", "password": SECRET})
    assert (made.status, made.headers["location"]) == (303, "/account?done=made")
    return visitor


def invited(site: Running, email: str, role: str = "member", **more: str) -> str:
    status, link = api(site, "POST", "/api/v1/links", {"kind": "invite", "email": email, "role": role} | more)
    assert status == 201, link
    assert link["mailed"] is False
    return str(urlsplit(link["url"]).path)


def newcomer(site: Running, email: str, role: str = "member") -> Visitor:
    visitor = Visitor(site.url)
    made = visitor.fill(invited(site, email, role), {"email": email, "name": "N. N.", "password": SECRET})
    assert made.status == 303, made.text
    return visitor


def who(visitor: Visitor, **more: Any) -> tuple[int, Any]:
    answer = visitor.get("/api/v1/whoami", **more)
    return answer.status, answer.json()


def test_the_first_admin_is_an_owner_and_the_link_is_used_up(site: Running, ada: Visitor) -> None:
    status, me = who(ada)
    assert status == 200
    assert (me["principal"], me["org"], me["role"]) == (ADA, "default", "owner")
    again = Visitor(site.url).get(first_link(site))
    assert again.status == 404
    assert "was used, or has ended" in again.text


def test_the_cookie_is_for_this_host_alone_and_no_script_reads_it(site: Running, ada: Visitor) -> None:
    answer = Visitor(site.url).sign_in(ADA, SECRET)
    line = next(line for line in answer.cookies if "session" in line)
    assert re.fullmatch(
        rf"a2a-session-{site.port}=[A-Za-z0-9_-]{{43}}; Path=/; HttpOnly; SameSite=Lax; Max-Age=\d+", line
    )
    assert answer.headers["cache-control"] == "no-store"
    token = line.partition("=")[2].partition(";")[0]
    assert token.encode() not in (site.data / "journal.db").read_bytes()
    with sqlite3.connect(site.data / "journal.db") as database:
        assert all(len(row[0]) == 32 for row in database.execute("SELECT hash FROM web_session"))


def test_a_page_brings_a_policy_that_runs_nothing_of_others(site: Running) -> None:
    page = Visitor(site.url).get("/login")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page.text
    assert " style=" not in page.text
    assert " on" + "click" not in page.text


def test_a_wrong_password_and_an_unknown_person_get_the_same_answer(site: Running, ada: Visitor) -> None:
    def tried(email: str) -> tuple[int, str]:
        answer = Visitor(site.url).sign_in(email, "wrong horses and batteries")
        return answer.status, re.sub(r'value="[^"]*"|data-csrf="[^"]*"', "", answer.text)

    wrong, unknown = tried(ADA), tried("nobody@example.com")
    assert wrong == unknown
    assert wrong[0] == 401
    assert "belong together" in wrong[1]


def test_many_wrong_passwords_cost_ever_longer_pauses(site: Running) -> None:
    newcomer(site, "guessed@example.com")
    visitor = Visitor(site.url)
    answers = [visitor.sign_in("guessed@example.com", f"wrong password number {n}") for n in range(7)]
    assert [answer.status for answer in answers][:5] == [401] * 5
    assert answers[-1].status == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    # The right one has to wait too: otherwise the pause would tell nothing to a guesser.
    assert visitor.sign_in("guessed@example.com", SECRET).status == 429


def test_signing_in_changes_the_session_and_ends_the_one_before(site: Running, ada: Visitor) -> None:
    visitor = Visitor(site.url)
    visitor.sign_in(ADA, SECRET)
    before = dict(visitor.cookies)
    again = visitor.fill("/login?again=1", {"email": ADA, "password": SECRET}, "/login")
    assert again.status == 303
    assert visitor.cookies != before
    assert who(Visitor(site.url, before))[0] == 401
    assert who(visitor)[0] == 200


def test_signing_out_ends_the_session_at_once(site: Running, ada: Visitor) -> None:
    visitor = Visitor(site.url)
    visitor.sign_in(ADA, SECRET)
    kept = dict(visitor.cookies)
    gone = visitor.fill("/logout", {})
    assert gone.status == 200
    assert who(Visitor(site.url, kept))[0] == 401
    assert visitor.get("/account").headers["location"] == "/login?next=/account"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "javascript:alert(1)",
        "/ok\r\nset-cookie: a=b",
        "http:/evil.example",
        "evil.example",
        "/%0d%0a//evil",
    ],
    ids=["url", "slashes", "backslash", "both", "script", "newline", "one-slash", "bare", "encoded"],
)
def test_nobody_is_sent_elsewhere_after_signing_in(site: Running, ada: Visitor, target: str) -> None:
    answer = Visitor(site.url).sign_in(ADA, SECRET, target)
    place = answer.headers["location"]
    assert answer.status == 303
    assert urlsplit(place).netloc == ""
    assert place == ("/%0d%0a//evil" if "%0d" in target else "/account")


def test_after_signing_in_for_oauth_no_redirect_hangs_on_the_form(site: Running, ada: Visitor) -> None:
    answer = Visitor(site.url).sign_in(ADA, SECRET, "/oauth/authorize?client_id=x&state=a%22b")
    assert answer.status == 200
    assert 'content="0;url=/oauth/authorize?client_id=x&amp;state=a%22b"' in answer.text


# --- other sites --------------------------------------------------------------------------------------


@pytest.mark.parametrize("site_said", ["cross-site", "same-site"])
def test_another_site_changes_nothing_in_somebodys_name(site: Running, ada: Visitor, site_said: str) -> None:
    token = ada.get("/account").csrf
    assert ada.post("/logout", {"csrf": token}, site=site_said).status == 403
    assert ada.post("/account/sessions/end-others", {"csrf": token}, site=site_said).status == 403
    made = ada.send("/api/v1/links", {"kind": "admin"}, site=site_said)
    assert (made.status, made.json()["code"]) == (403, "forbidden")
    assert who(ada)[0] == 200


def test_a_form_without_its_token_is_refused(site: Running, ada: Visitor) -> None:
    for fields in ({}, {"csrf": "0" * 64}, {"csrf": Visitor(site.url).get("/login").csrf}):
        assert ada.post("/account/sessions/end-others", fields).status == 403
    stranger = Visitor(site.url)
    assert stranger.post("/login", {"email": ADA, "password": SECRET}).status == 403
    # Somebody else's token, with which one would be signed in as them without knowing it.
    token = Visitor(site.url).get("/login").csrf
    stranger.get("/login")
    assert stranger.post("/login", {"csrf": token, "email": ADA, "password": SECRET}).status == 403


def test_what_a_page_of_others_loads_comes_as_a_strangers(site: Running, ada: Visitor) -> None:
    assert who(ada, site="same-site", mode="no-cors")[0] == 401
    assert who(ada, site="cross-site", mode="cors")[0] == 401
    assert who(ada, site="same-origin", mode="cors")[0] == 200


def test_an_older_browser_is_known_by_its_origin(site: Running, ada: Visitor) -> None:
    def made(origin: dict[str, str]) -> Answer:
        kind = {"Content-Type": "application/json", "Accept": "application/json"}
        return ada.ask("POST", "/api/v1/links", b'{"kind": "admin"}', headers=kind | origin, site="")

    assert made({"Origin": "https://evil.example"}).status == 403
    assert made({"Origin": "null"}).status == 403
    assert made({}).status == 403
    assert made({"Origin": site.url}).status == 201


def test_a_key_beats_the_cookie(site: Running, ada: Visitor) -> None:
    answer = ada.get("/api/v1/whoami", headers={"Authorization": f"Bearer {site.key}"}, site="cross-site")
    assert answer.json()["principal"] == "admin"


# --- links --------------------------------------------------------------------------------------------


def test_an_invitation_is_for_one_address_and_once(site: Running, ada: Visitor) -> None:
    link = invited(site, "bob@example.com", "developer")
    bob = Visitor(site.url)
    other = bob.fill(link, {"email": "mallory@example.com", "name": "M", "password": SECRET})
    assert other.status == 400
    assert "another e-mail address" in other.text
    assert bob.fill(link, {"email": "Bob@Example.com", "name": "Bob", "password": SECRET}).status == 303
    assert who(bob)[1]["role"] == "developer"
    assert Visitor(site.url).get(link).status == 404


def test_who_has_an_account_joins_with_it(site: Running, ada: Visitor) -> None:
    carol = newcomer(site, "carol@example.com")
    status, _ = api(site, "POST", "/api/v1/keys", {"principal": "robot", "org": "acme"})
    assert status == 201
    link = invited(site, "carol@example.com", "approver", org="acme")
    wrong = Visitor(site.url)
    wrong.sign_in(ADA, SECRET)
    assert wrong.fill(link, {"as": "me"}).status == 403
    assert carol.fill(link, {"as": "me"}).headers["location"] == "/account?done=joined"
    page = carol.get("/account")
    assert "acme" in page.text
    assert who(carol)[1]["org"] == "default"
    assert carol.post("/account/org", {"csrf": page.csrf, "org": "acme"}).status == 303
    assert who(carol)[1] | {"org": "acme", "role": "approver"} == who(carol)[1]
    assert carol.post("/account/org", {"csrf": page.csrf, "org": "nowhere"}).status == 404


@pytest.mark.parametrize(
    "password",
    [
        "short one",
        "password1234567",
        "aaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
        "qwertyuiopasdfgh",
        "x" * 300,
    ],
    ids=["short", "common", "one-sign", "repeated", "row", "long"],
)
def test_a_bad_password_is_named_and_the_link_stays(site: Running, ada: Visitor, password: str) -> None:
    link = invited(site, "dave@example.com")
    answer = Visitor(site.url).fill(link, {"email": "dave@example.com", "name": "D", "password": password})
    assert answer.status == 400
    assert "The password" in answer.text
    assert password not in answer.text
    assert Visitor(site.url).get(link).status == 200


def test_recovery_sets_a_password_once_and_ends_all_sessions(site: Running, ada: Visitor) -> None:
    erin = newcomer(site, "erin@example.com")
    status, link = api(site, "POST", "/api/v1/links", {"kind": "recover", "email": "erin@example.com"})
    assert status == 201
    path = urlsplit(link["url"]).path
    new = "seven quiet rivers at noon"
    assert Visitor(site.url).fill(path, {"password": "short"}).status == 400
    visitor = Visitor(site.url)
    assert visitor.fill(path, {"password": new}).status == 303
    assert who(visitor)[0] == 200
    assert who(erin)[0] == 401
    assert Visitor(site.url).get(path).status == 404
    assert Visitor(site.url).sign_in("erin@example.com", SECRET).status == 401
    assert Visitor(site.url).sign_in("erin@example.com", new).status == 303


def test_asking_for_recovery_tells_nothing(site: Running, ada: Visitor) -> None:
    pages = [
        Visitor(site.url).post("/recover", {"email": email, "csrf": "x"}).status
        for email in (ADA, "no@example.com")
    ]
    assert pages == [403, 403]
    assert "a2a link recover" in Visitor(site.url).get("/recover").text


def test_links_are_made_by_those_who_may(site: Running, ada: Visitor) -> None:
    member, developer = newcomer(site, "frank@example.com"), newcomer(site, "gina@example.com", "developer")
    admin = newcomer(site, "hana@example.com", "admin")
    for visitor in (member, developer):
        for body in ({"kind": "admin"}, {"kind": "invite", "email": "x@example.com"}):
            assert visitor.send("/api/v1/links", body).status == 403
        assert visitor.send("/api/v1/links", {"kind": "recover", "email": ADA}).status == 404
        assert visitor.get("/api/v1/links").status == 403
    # An admin makes no owner, in whatever way.
    owner = {"kind": "invite", "email": "x@example.com", "role": "owner"}
    assert admin.send("/api/v1/links", owner).status == 403
    assert admin.send("/api/v1/links", {"kind": "recover", "email": ADA}).status == 403
    assert admin.send("/api/v1/links", {"kind": "admin"}).json()["role"] == "admin"
    # Whoever manages members alone makes nobody's account theirs who may do more.
    keepers = {"permissions": ["members.manage", "agents.call"]}
    assert api(site, "PUT", "/api/v1/roles/keeper", keepers)[0] in (200, 201)
    keeper = newcomer(site, "kate@example.com", "keeper")
    assert keeper.send("/api/v1/links", {"kind": "recover", "email": "hana@example.com"}).status == 403
    assert keeper.send("/api/v1/links", {"kind": "recover", "email": "frank@example.com"}).status == 201
    assert keeper.send("/api/v1/links", {"kind": "admin"}).status == 403
    more = {"kind": "invite", "email": "x@example.com", "role": "admin"}
    assert keeper.send("/api/v1/links", more).status == 403
    assert ada.send("/api/v1/links", {"kind": "admin"}).json()["role"] == "owner"
    assert api(site, "POST", "/api/v1/links", {"kind": "admin"})[1]["role"] == "owner"
    for body in ({"kind": "what"}, {"kind": "invite", "email": "no"}, {"kind": "invite"}, []):
        assert ada.send("/api/v1/links", body).status == 400
    unknown = {"kind": "invite", "email": "x@example.com", "role": "king"}
    assert ada.send("/api/v1/links", unknown).status == 400


def test_a_link_can_be_ended(site: Running, ada: Visitor) -> None:
    path = invited(site, "ivan@example.com")
    found = next(
        link for link in api(site, "GET", "/api/v1/links")[1]["links"] if link["email"] == "ivan@example.com"
    )
    assert found["state"] == "open"
    assert "url" not in found
    assert api(site, "DELETE", f"/api/v1/links/{found['id']}")[0] == 200
    assert Visitor(site.url).get(path).status == 404


# --- sessions -----------------------------------------------------------------------------------------


def test_sessions_are_listed_and_ended_one_by_one(site: Running, ada: Visitor) -> None:
    here = newcomer(site, "judy@example.com")
    there = Visitor(site.url, agent="Other/2.0 Firefox")
    there.sign_in("judy@example.com", SECRET)
    page = here.get("/account")
    assert "Other/2.0" in page.text
    other = next(
        one for one in here.get("/api/v1/sessions").json()["sessions"] if one["agent"].startswith("Other")
    )
    stranger = newcomer(site, "kim@example.com")
    token = stranger.get("/account").csrf
    assert stranger.post("/account/sessions/end", {"csrf": token, "id": other["id"]}).status == 404
    assert stranger.get("/api/v1/sessions?account=judy@example.com").status == 404
    assert who(there)[0] == 200
    assert here.post("/account/sessions/end", {"csrf": page.csrf, "id": other["id"]}).status == 303
    assert who(there)[0] == 401
    assert who(here)[0] == 200
    assert api(site, "DELETE", "/api/v1/sessions?account=judy@example.com")[0] == 200
    assert who(here)[0] == 401


def test_a_new_password_needs_the_old_one_and_ends_the_other_sessions(site: Running, ada: Visitor) -> None:
    here = newcomer(site, "lea@example.com")
    there = Visitor(site.url)
    there.sign_in("lea@example.com", SECRET)
    token = here.get("/account").csrf
    new = "nine slow clouds over berlin"
    wrong = here.post("/account/password", {"csrf": token, "old": "something else entirely", "new": new})
    assert wrong.status == 400
    assert here.post("/account/password", {"csrf": token, "old": SECRET, "new": new}).status == 303
    assert (who(here)[0], who(there)[0]) == (200, 401)
    assert Visitor(site.url).sign_in("lea@example.com", new).status == 303


def test_what_is_taken_from_a_member_counts_at_once(site: Running, ada: Visitor) -> None:
    mona = newcomer(site, "mona@example.com", "admin")
    assert mona.get("/api/v1/keys").status == 200
    assert api(site, "PUT", "/api/v1/members/mona@example.com", {"role": "viewer"})[0] == 200
    assert mona.get("/api/v1/keys").status == 403
    assert api(site, "DELETE", "/api/v1/members/mona@example.com")[0] == 200
    assert who(mona)[0] == 401
    assert "None. An admin can invite you." in mona.get("/account").text


def test_no_secret_stands_in_the_log_or_in_the_audit(site: Running, ada: Visitor) -> None:
    path = invited(site, "nina@example.com")
    visitor = Visitor(site.url)
    visitor.fill(path, {"email": "nina@example.com", "name": "Nina", "password": SECRET})
    token = next(value for name, value in visitor.cookies.items() if "session" in name)
    told = site.log.read_text()
    with sqlite3.connect(site.data / "journal.db") as database:
        rows = str(database.execute("SELECT * FROM audit_event").fetchall())
        stored = str(database.execute("SELECT password FROM account").fetchall())
    for secret in (SECRET, token, path.rpartition("/")[2]):
        assert secret not in told
        assert secret not in rows
        assert secret not in stored
    assert "account.created" in rows
    assert "session.began" in rows
    assert "$argon2id$v=19$m=32768,t=3,p=1$" in stored


def test_sessions_and_links_outlive_a_restart(site: Running, ada: Visitor) -> None:
    link = invited(site, "olga@example.com")
    old = site.port
    site.env["A2A_PORT"] = str(old)
    site.stop()
    site.restart()
    assert who(ada)[0] == 200
    olga = Visitor(site.url)
    assert olga.fill(link, {"email": "olga@example.com", "name": "O", "password": SECRET}).status == 303
    # Somebody has an account: no link for a first admin is made any more.
    assert "sign in    http" not in site.log.read_text().rpartition("is up at")[2]


@pytest.mark.parametrize(
    "path", ["/login/none", "/account/none", "/invite", "/recover/" + "x" * 43, "/_pages/no"]
)
def test_other_paths_are_not_there(site: Running, path: str) -> None:
    assert Visitor(site.url).get(path).status == 404


def test_no_body_gives_a_stack_trace(site: Running, ada: Visitor) -> None:
    visitor = Visitor(site.url)
    token = visitor.get("/login").csrf
    for path in ("/login", "/login/passkey", "/login/passkey/options", "/recover"):
        for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
            for body in (b"", b"{}", b"\xff", b"csrf=%ff", b'{"csrf": 1}', b"a=1&a=2", b"[" * 5000):
                answer = visitor.ask("POST", path, body, headers={"Content-Type": kind})
                assert answer.status in (400, 403, 415), (path, kind, body, answer.text)
    odd = {"csrf": token, "ticket": "x", "credential": {"rawId": 1, "response": None}}
    assert visitor.send("/login/passkey", odd).status == 400
    options = visitor.send("/login/passkey/options", {"csrf": token}).json()
    for credential in ({}, {"rawId": "AA"}, {"rawId": 1}, {"rawId": "AA", "response": {}}, {"rawId": "ä"}):
        options = visitor.send("/login/passkey/options", {"csrf": token}).json()
        body = {"csrf": token, "ticket": options["ticket"], "credential": credential}
        assert visitor.send("/login/passkey", body).status == 401
    assert options["options"]["userVerification"] == "required"
    assert Path(site.data).is_dir()
