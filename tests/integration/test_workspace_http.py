"""Workspaces over HTTP, as curl meets them: contents, conditions, ranges, versions, commits, rights."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from workspace_site import Site, serving

ROOT = "/api/v1/workspaces"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site")) as site:
        yield site


@dataclass
class Said:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Talk:
    """One workspace, with a key."""

    def __init__(self, site: Site, name: str, key: str = "") -> None:
        self.site, self.name = site, name
        self.key = key or site.admin

    def ask(self, method: str, path: str = "", body: Any = None, **headers: str) -> Said:
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=30)
        sent = {"Authorization": f"Bearer {self.key}"} if self.key != "none" else {}
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, f"{ROOT}/{self.name}{path}", body, sent)
            answer = connection.getresponse()
            fields = {name.lower(): text for name, text in answer.getheaders()}
            return Said(answer.status, fields, answer.read())
        finally:
            connection.close()

    def put(self, path: str, data: Any, **headers: str) -> Said:
        return self.ask("PUT", f"/files/{quote(path)}", data, **headers)

    def get(self, path: str, query: str = "", **headers: str) -> Said:
        return self.ask("GET", f"/files/{quote(path)}{query}", **headers)

    def upload(self, data: bytes) -> Any:
        said = self.ask("POST", "/objects", data)
        assert said.status == 201, said.body
        return said.json


@pytest.fixture
def talk(site: Site, request: pytest.FixtureRequest) -> Talk:
    """A workspace of this test's own."""
    name = request.node.name.replace("_", "-")[:50].rstrip("-[]").replace("[", "-").replace("]", "")
    talk = Talk(site, name)
    assert talk.ask("PUT").status == 201
    return talk


def code(said: Said, status: int) -> str:
    assert said.status == status, (said.status, said.body)
    assert said.json["detail"]
    return said.json["code"]


def test_a_workspace_is_made_once_and_listed(site: Site, talk: Talk) -> None:
    again = talk.ask("PUT")
    assert (again.status, again.json["head"]["version"], again.json["by"]) == (200, 0, "admin@default")
    assert talk.ask("GET").json == again.json
    every = Talk(site, "").ask("GET", "")
    names = [each["name"] for each in every.json["workspaces"]]
    assert talk.name in names
    page = Talk(site, "?limit=1&after=" + names[0]).ask("GET").json
    assert [each["name"] for each in page["workspaces"]] == names[1:2]
    assert code(Talk(site, "No%20Name").ask("PUT"), 400) == "invalid_params"
    assert code(Talk(site, "nowhere").ask("GET"), 404) == "workspace_not_found"


def test_a_file_goes_in_and_out(talk: Talk) -> None:
    data = bytes(range(256)) * 10
    made = talk.put("in/größe ½.bin", data)
    tag = f'"{hashlib.sha256(data).hexdigest()}"'
    assert (made.status, made.json["version"], made.headers["etag"]) == (201, 1, tag)
    assert (made.json["by"], made.json["message"]) == ("admin@default", "Put in/größe ½.bin")
    got = talk.get("in/größe ½.bin")
    assert (got.status, got.body, got.headers["etag"]) == (200, data, tag)
    assert got.headers["content-length"] == str(len(data))
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["content-disposition"].startswith("attachment; ")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert got.headers["a2a-workspace-version"] == "1"
    head = talk.ask("HEAD", f"/files/{quote('in/größe ½.bin')}")
    assert (head.status, head.body) == (200, b"")
    assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
    again = talk.put("in/größe ½.bin", b"<script>", message="x")
    assert (again.status, again.json["version"]) == (200, 2)
    assert talk.get("in/größe ½.bin", "?version=1").body == data
    assert code(talk.get("in/größe ½.bin", "?version=9"), 404) == "version_not_found"
    assert code(talk.get("in"), 400) == "invalid_params"
    assert code(talk.get("in/none"), 404) == "file_not_found"
    gone = talk.ask("DELETE", f"/files/{quote('in/größe ½.bin')}?message=away")
    assert (gone.status, gone.json["version"], gone.json["message"]) == (200, 3, "away")
    assert code(talk.get("in/größe ½.bin"), 404) == "file_not_found"
    assert code(talk.ask("DELETE", "/files/in"), 404) == "file_not_found"


def test_types_are_by_name_and_empty_files_are_files(talk: Talk) -> None:
    for path, kind in (
        ("a.html", "text/html"),
        ("b", "application/octet-stream"),
        ("c.tar.gz", "application/octet-stream"),
        ("d.json", "application/json"),
    ):
        assert talk.put(path, b"").status == 201
        got = talk.get(path)
        assert (got.status, got.headers["content-type"], got.body) == (200, kind, b"")
    assert code(talk.get("b", Range="bytes=0-"), 416) == "range_not_satisfiable"


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e/x",
        "a%2Fb",
        "a%5Cb",
        "%252e%252e/x",
        "a//b",
        "a/",
        "",
        "a%00b",
        "a%0Ab",
        "c:/x",
        "e%CC%81",
        "%FF",
    ],
)
def test_a_bad_path_is_refused_and_never_repaired(site: Site, path: str) -> None:
    talk = Talk(site, "bad-paths")
    talk.ask("PUT")
    before = talk.ask("GET").json["head"]["version"]
    for method in ("GET", "PUT", "DELETE"):
        assert talk.ask(method, f"/files/{path}", b"x" if method == "PUT" else None).status in (400, 404)
    assert talk.ask("GET").json["head"]["version"] == before


def test_conditions_of_reads(talk: Talk) -> None:
    tag = talk.put("f", b"one").headers["etag"]
    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        said = talk.get("f", If_None_Match=known)
        assert (said.status, said.body, said.headers["etag"]) == (304, b"", tag)
    assert talk.get("f", If_None_Match='"other"').status == 200
    assert talk.get("f", If_Match=tag).status == 200
    assert code(talk.get("f", If_Match='"other"'), 412) == "precondition_failed"
    assert code(talk.get("f", If_Match=f"W/{tag}"), 412) == "precondition_failed"
    assert code(talk.get("f", If_None_Match="bare"), 400) == "invalid_params"


@pytest.mark.parametrize(
    ("field", "status", "body", "content"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("BYTES = 1-1", 206, b"1", "bytes 1-1/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=99999999999999999-", 416, None, "bytes */10"),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=1-2,4-5", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=0x1-2", 200, b"0123456789", None),
    ],
)
def test_ranges(site: Site, field: str, status: int, body: bytes | None, content: str | None) -> None:
    talk = Talk(site, "ranges")
    talk.ask("PUT")
    tag = talk.put("f", b"0123456789").headers["etag"]
    said = talk.get("f", Range=field)
    assert (said.status, said.headers.get("content-range")) == (status, content)
    if body is None:
        assert said.json["code"] == "range_not_satisfiable"
        return
    assert (said.body, said.headers["content-length"]) == (body, str(len(body)))
    assert talk.get("f", Range=field, If_Range=tag).status == status
    other = talk.get("f", Range=field, If_Range='"other"')
    assert (other.status, other.body) == (200, b"0123456789")
    assert talk.get("f", Range=field, If_Range="Sat, 21 Nov 2026 12:00:00 GMT").status == 200
    head = talk.ask("HEAD", "/files/f", Range=field)
    assert (head.status, head.headers["content-length"]) == (200, "10")


def test_conditions_of_writes(talk: Talk) -> None:
    assert code(talk.put("f", b"1", If_Match="*"), 412) == "precondition_failed"
    one = talk.put("f", b"1", If_None_Match="*").headers["etag"]
    refused = talk.put("f", b"2", If_None_Match="*")
    assert (code(refused, 412), refused.json["etag"]) == ("precondition_failed", one)
    two = talk.put("f", b"2", If_Match=f'"zzz", {one}').headers["etag"]
    assert code(talk.put("f", b"3", If_Match=one), 412) == "precondition_failed"
    assert code(talk.put("f", b"3", If_None_Match=two), 412) == "precondition_failed"
    assert code(talk.ask("DELETE", "/files/f", If_Match=one), 412) == "precondition_failed"
    assert talk.ask("DELETE", "/files/f", If_Match=two).status == 200
    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda n: talk.put("race", b"%d" % n, If_None_Match="*").status, range(8)))
    assert sorted(ends) == [201] + [412] * 7


def test_a_refusal_comes_before_the_body(site: Site, talk: Talk) -> None:
    talk.put("f", b"1")
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as line:
        line.sendall(
            f"PUT {ROOT}/{talk.name}/files/f HTTP/1.1\r\nHost: 127.0.0.1\r\nIf-None-Match: *\r\n"
            f"Authorization: Bearer {talk.key}\r\nContent-Length: 9999999999\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        assert line.recv(100).startswith(b"HTTP/1.1 412 ")


def test_what_breaks_off_leaves_nothing(site: Site, talk: Talk) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as line:
        line.sendall(
            f"PUT {ROOT}/{talk.name}/files/f HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {talk.key}\r\nContent-Length: 1000\r\n\r\nhalf".encode()
        )
        aside = site.objects / "aside"
        end = time.monotonic() + 10
        while not list(aside.iterdir()):
            assert time.monotonic() < end
            time.sleep(0.01)
    while list(aside.iterdir()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert talk.ask("GET").json["head"]["version"] == 0


def test_versions_differences_and_restore(talk: Talk) -> None:
    talk.put("a", b"1")
    talk.put("in/b", b"1")
    talk.put("a", b"2")
    page = talk.ask("GET", "/versions?limit=2").json
    assert [each["version"] for each in page["versions"]] == [3, 2]
    rest = talk.ask("GET", f"/versions?before={page['next']}").json
    assert ([each["version"] for each in rest["versions"]], rest["next"]) == ([1], 0)
    assert rest["versions"][0]["changed"] == 1
    log = talk.ask("GET", "/versions?path=a").json
    assert [(each["version"], each["file"]["size"]) for each in log["versions"]] == [(3, 1), (1, 1)]
    last = talk.ask("GET", "/diff").json
    assert (last["from"], last["to"], [each["path"] for each in last["changes"]]) == (2, 3, ["a"])
    every = talk.ask("GET", "/diff?from=0&to=3&limit=1").json
    assert (every["next"], every["changes"][0]["before"]) == ("a", None)
    more = talk.ask("GET", "/diff?from=0&to=3&past=a").json
    assert [each["path"] for each in more["changes"]] == ["in/b"]
    part = talk.ask("POST", "/restore", {"version": 1, "paths": ["a"]})
    assert (part.status, part.json["version"], part.json["restored"]) == (200, 4, 1)
    assert talk.get("a").body == b"1"
    assert talk.get("in/b").body == b"1"
    whole = talk.ask("POST", "/restore", {"version": 1, "message": "back"})
    assert (whole.json["files"], whole.json["message"]) == (1, "back")
    for body, status in (({"version": 99}, 404), ({"version": "x"}, 400), ({}, 400)):
        assert talk.ask("POST", "/restore", body).status == status
    assert code(talk.ask("POST", "/restore", {"version": 1, "paths": ["../x"]}), 400) == "invalid_params"
    assert code(talk.ask("GET", "/diff?from=0&to=99"), 404) == "version_not_found"


def test_trees(talk: Talk) -> None:
    for path in ("a.md", "in/a.md", "in/deep/b.md", "z"):
        talk.put(path, path.encode())
    top = talk.ask("GET", "/tree").json
    assert [(each["kind"], each["path"]) for each in top["entries"]] == [
        ("file", "a.md"),
        ("folder", "in"),
        ("file", "z"),
    ]
    assert top["entries"][1] == {"kind": "folder", "path": "in", "files": 2, "size": 19}
    assert (top["version"], top["next"]) == (4, "")
    page = talk.ask("GET", "/tree?path=in&limit=1").json
    assert page["next"] == "a.md"
    page = talk.ask("GET", "/tree?path=in&limit=1&after=a.md").json
    assert [each["path"] for each in page["entries"]] == ["in/deep"]
    deep = talk.ask("GET", "/tree?path=in&deep=1&limit=1").json
    assert (deep["next"], [each["path"] for each in deep["entries"]]) == ("in/a.md", ["in/a.md"])
    deep = talk.ask("GET", "/tree?path=in&deep=1&after=in/a.md").json
    assert ([each["path"] for each in deep["entries"]], deep["next"]) == (["in/deep/b.md"], "")
    fits = talk.ask("GET", f"/tree?glob={quote('**/*.md')}&version=3").json
    assert [each["path"] for each in fits["entries"]] == ["a.md", "in/a.md", "in/deep/b.md"]
    file = talk.ask("GET", "/tree?path=in/a.md").json
    assert (file["kind"], file["entries"][0]["size"]) == ("file", 7)
    assert code(talk.ask("GET", "/tree?path=nowhere"), 404) == "file_not_found"
    for query in ("path=..", "glob=[ab]", "glob=*&path=in", "limit=0", "version=x", "deep=1&after=../x"):
        assert code(talk.ask("GET", f"/tree?{query}"), 400) == "invalid_params"


def test_a_commit_of_many_files(talk: Talk) -> None:
    talk.put("old", b"old")
    talk.put("gone", b"gone")
    one, two = talk.upload(b"one"), talk.upload(b"")
    assert one == {"sha256": hashlib.sha256(b"one").hexdigest(), "size": 3}
    changes = [
        {"path": "in/one", **one},
        {"path": "in/two", **one},
        {"path": "empty", **two},
        {"path": "gone", "delete": True},
    ]
    made = talk.ask("POST", "/commit", {"base": 2, "message": "m", "changes": changes})
    assert (made.status, made.json["version"], made.json["files"], made.json["changed"]) == (200, 3, 4, 4)
    assert made.json["message"] == "m"
    assert talk.get("in/two").body == b"one"
    again = talk.ask("POST", "/commit", {"base": 2, "message": "m", "changes": changes})
    assert (again.status, again.json["version"]) == (200, 3)
    other = talk.upload(b"other")
    clash = talk.ask("POST", "/commit", {"base": 2, "changes": [{"path": "in/one", **other}]})
    assert code(clash, 409) == "workspace_conflict"
    assert json.loads(clash.json["clashes"])[0]["path"] == "in/one"
    body = {"base": 2, "changes": [{"path": "in/one", **other}], "merge": "last-writer"}
    assert talk.ask("POST", "/commit", body).json["version"] == 4
    for changes in (
        [{"path": "../x", **one}],
        [{"path": "x", "sha256": "zz", "size": 1}],
        [{"path": "x"}],
        [{"path": "x", **one}, {"path": "x", **two}],
        [{"path": "x", **one, "delete": True}],
        [{"path": "x", **one, "mode": 7}],
        [{"path": "x", "sha256": one["sha256"], "size": 4}],
        "x",
    ):
        assert code(talk.ask("POST", "/commit", {"changes": changes}), 400) == "invalid_params"
    assert code(talk.ask("POST", "/commit", {"merge": "mine", "changes": []}), 400) == "invalid_params"
    assert code(talk.ask("POST", "/commit", b"[]"), 400) == "invalid_params"
    missing = talk.ask("POST", "/commit", {"changes": [{"path": "nowhere", "delete": True}]})
    assert code(missing, 404) == "file_not_found"
    assert talk.ask("GET").json["head"]["version"] == 4


def test_who_knows_a_hash_has_no_right_to_it(site: Site, talk: Talk) -> None:
    stranger = Talk(site, talk.name, site.other)
    assert stranger.ask("PUT").status == 201
    secret = talk.upload(b"a secret of this organisation")
    stolen = {"changes": [{"path": "x", **secret}]}
    refused = stranger.ask("POST", "/commit", stolen)
    assert code(refused, 400) == "invalid_params"
    assert refused.json["missing"] == secret["sha256"]
    site.clock.by += 3601
    try:
        assert code(talk.ask("POST", "/commit", stolen), 400) == "invalid_params"
        assert talk.upload(b"a secret of this organisation") == secret
        assert talk.ask("POST", "/commit", stolen).json["version"] == 1
    finally:
        site.clock.by = 0
    # What lies at the path already needs no upload.
    site.services.uploads = type(site.services.uploads)()
    assert talk.ask("POST", "/commit", {"base": 0, **stolen}).json["version"] == 1
    assert code(talk.ask("POST", "/commit", {"changes": [{"path": "y", **secret}]}), 400) == "invalid_params"


def test_who_may_what(site: Site, talk: Talk) -> None:
    talk.put("f", b"1")
    member, stranger = Talk(site, talk.name, site.member), Talk(site, talk.name, site.other)
    assert member.get("f").body == b"1"
    for path in ("", "/tree", "/versions", "/diff"):
        assert member.ask("GET", path).status == 200
        assert code(stranger.ask("GET", path), 404) == "workspace_not_found"
        assert Talk(site, talk.name, "none").ask("GET", path).status == 401
    writes = [
        ("PUT", "/files/f", b"2"),
        ("DELETE", "/files/f", None),
        ("POST", "/objects", b"2"),
        ("POST", "/commit", {"changes": []}),
        ("POST", "/restore", {"version": 0}),
    ]
    for method, path, body in writes:
        assert code(member.ask(method, path, body), 403) == "forbidden"
        assert code(stranger.ask(method, path, body), 404) == "workspace_not_found"
    assert code(member.ask("PUT"), 403) == "forbidden"
    assert code(stranger.get("f"), 404) == "workspace_not_found"
    names = [each["name"] for each in Talk(site, "", site.other).ask("GET").json["workspaces"]]
    assert talk.name not in names
    assert talk.get("f").body == b"1"


def test_other_methods_are_told_which_there_are(talk: Talk) -> None:
    said = talk.ask("POST", "/files/a/b")
    assert (said.status, said.headers["allow"]) == (405, "GET, PUT, DELETE, HEAD")
    assert talk.ask("OPTIONS", "/files/a/b").headers["allow"] == "HEAD, GET, PUT, DELETE"
    assert talk.ask("GET", "/files").status == 404


def test_what_is_gone_from_the_store_is_a_problem(site: Site, talk: Talk) -> None:
    data = b"soon damaged" * 200_000
    sha = talk.put("f", data).json["sha256"]
    place: Path = site.objects / "sha256" / sha[:2] / sha
    place.unlink()
    assert talk.get("f").status == 404
    place.write_bytes(data[: 1 << 20])
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        talk.get("f")
