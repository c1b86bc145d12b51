"""`a2a ws` against a real server: what people see, what comes here and goes there, what is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from a2a_cloud.callers.cli import root as cli
from a2a_cloud.callers.cli.exits import Exit
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.surface.uploads import Uploads
from workspace_site import Site, serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def here(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to work in."""
    for name in [name for name in os.environ if name.startswith("A2A_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("A2A_URL", site.url)
    monkeypatch.setenv("A2A_KEY", site.admin)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def ws(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run `a2a ws …` in this process: (exit code, stdout, stderr)."""

    def run(*words: str) -> tuple[int, str, str]:
        capfdbinary.readouterr()
        code = cli.run(["ws", *words])
        out, err = capfdbinary.readouterr()
        return code, out.decode("utf-8", "surrogateescape"), err.decode()

    return run


@pytest.fixture
def name(ws: Run, request: pytest.FixtureRequest) -> str:
    """A workspace of this test's own."""
    made = request.node.name.replace("_", "-")[:60].strip("-")
    assert ws("mk", made)[0] == 0
    return made


def ok(said: tuple[int, str, str]) -> str:
    assert said[0] == 0, said
    return said[1]


def document(said: tuple[int, str, str]) -> Any:
    return json.loads(ok(said))


def write(root: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_a_file_there_and_back(ws: Run, name: str, here: Path) -> None:
    write(here, a=b"\xff\x00 bytes")
    assert "version 1" in ok(ws("put", "a", f"{name}:in/a"))
    assert ok(ws("cat", f"{name}:in/a")).encode("utf-8", "surrogateescape") == b"\xff\x00 bytes"
    assert ok(ws("get", f"{name}:in/a", "b")) == "b\n"
    assert (here / "b").read_bytes() == b"\xff\x00 bytes"
    assert document(ws("cat", f"{name}:in/a", "--json"))["base64"]
    (here / "a").write_text("text")
    ok(ws("put", "a", f"{name}:in/", "-m", "why"))
    assert document(ws("cat", f"{name}:in/a", "--json"))["text"] == "text"
    assert ok(ws("cat", f"{name}:in/a", "-v", "1")) != "text"
    said = ws("get", f"{name}:in/a", "b")
    assert (said[0], (here / "b").read_bytes()) == (Exit.USAGE, b"\xff\x00 bytes")
    assert "--force" in said[2]
    ok(ws("get", f"{name}:in/a", "b", "--force"))
    assert (here / "b").read_text() == "text"
    assert sorted(path.name for path in here.iterdir()) == ["a", "b"]


def test_only_if_it_is_the_one(ws: Run, name: str, here: Path) -> None:
    write(here, a="1")
    ok(ws("put", "a", f"{name}:a", "--new"))
    assert ws("put", "a", f"{name}:a", "--new")[0] != 0
    one = hashlib.sha256(b"1").hexdigest()
    write(here, a="2")
    ok(ws("put", "a", f"{name}:a", "--if-match", one))
    code, out, _ = ws("put", "a", f"{name}:a", "--if-match", one, "--json")
    assert (code != 0, json.loads(out)["error"]["code"]) == (True, "precondition_failed")


def test_lists(ws: Run, name: str, here: Path) -> None:
    write(here, f__a_dot_md="1", f__in__b_dot_md="22", f__c="3")
    ok(ws("put", "f", f"{name}:"))
    assert name in ok(ws("ls"))
    assert name in [each["name"] for each in document(ws("ls", "--json"))["workspaces"]]
    shown = ok(ws("ls", name))
    assert "in/" in shown
    assert "b.md" not in shown
    assert [each["path"] for each in document(ws("ls", name, "-a", "--json"))["entries"]] == [
        "a.md",
        "c",
        "in/b.md",
    ]
    fits = document(ws("ls", f"{name}:", "--glob", "**/*.md", "--json"))
    assert [each["path"] for each in fits["entries"]] == ["a.md", "in/b.md"]
    assert document(ws("ls", f"{name}:in", "--json"))["entries"][0]["size"] == 2
    assert ws("ls", f"{name}:nowhere")[0] == Exit.NOT_FOUND
    assert ws("ls", "nowhere")[0] == Exit.NOT_FOUND


def test_sync_sends_what_differs_as_one_version(ws: Run, name: str, here: Path) -> None:
    write(here, f__same="same", f__old="1", f__sub__gone="x")
    first = document(ws("sync", "f", f"{name}:to", "--json"))
    assert (first["added"], first["version"]) == (["to/old", "to/same", "to/sub/gone"], 1)
    write(here, f__old="2", f__new="n")
    (here / "f/sub/gone").unlink()
    (here / "f/link").symlink_to("/etc/passwd")
    plan = document(ws("sync", "f", f"{name}:to", "--delete", "--dry-run", "--json"))
    assert (plan["added"], plan["changed"], plan["deleted"]) == (["to/new"], ["to/old"], ["to/sub/gone"])
    assert (plan["unchanged"], plan["left_out"], plan["version"]) == (1, ["link"], 1)
    assert ws("ls", f"{name}:to/new")[0] == Exit.NOT_FOUND
    code, out, err = ws("sync", "f", f"{name}:to")
    assert (code, out) == (0, "+ to/new\n~ to/old\n")
    assert "version 2" in err
    assert "link" in err
    assert ok(ws("sync", "f", f"{name}:to", "--delete")) == "- to/sub/gone\n"
    assert "nothing was sent" in ws("sync", "f", f"{name}:to", "--delete")[2]
    assert document(ws("log", name, "--json"))["versions"][0]["version"] == 3
    ok(ws("put", "f/old", f"{name}:other"))
    assert "nothing was sent" in ws("sync", "f", f"{name}:to", "--delete")[2]


def test_a_folder_comes_whole_or_not_at_all(ws: Run, name: str, here: Path) -> None:
    write(here, f__a="1", f__in__b="2")
    ok(ws("put", "f", f"{name}:x"))
    assert sorted(ok(ws("get", f"{name}:x")).split()) == ["x/a", "x/in/b"]
    assert (here / "x/in/b").read_text() == "2"
    again = document(ws("get", f"{name}:x", "--json"))
    assert (again["got"], again["unchanged"]) == ([], 2)
    write(here, x__a="mine")
    (here / "x/in/b").unlink()
    assert ws("get", f"{name}:x")[0] == Exit.USAGE
    assert not (here / "x/in/b").exists()
    ok(ws("get", f"{name}:x", "--force"))
    assert (here / "x/a").read_text() == "1"


def test_nothing_is_written_through_a_link(ws: Run, name: str, here: Path) -> None:
    write(here, f__in__b="2", f__c="3", outside__b="mine", outside__c="mine")
    ok(ws("put", "f", f"{name}:"))
    (here / "to").mkdir()
    (here / "to/in").symlink_to(here / "outside")
    assert ws("get", f"{name}:", "to", "--force")[0] == Exit.USAGE
    (here / "to/in").unlink()
    (here / "to/c").symlink_to(here / "outside/c")
    assert ws("get", f"{name}:", "to")[0] == Exit.USAGE
    ok(ws("get", f"{name}:", "to", "--force"))
    assert (here / "to/c").read_text() == "3"
    assert not (here / "to/c").is_symlink()
    assert [(here / "outside" / each).read_text() for each in "bc"] == ["mine", "mine"]


def test_names_that_are_no_paths_stay_here(ws: Run, name: str, here: Path) -> None:
    write(here, f__a="1")
    (here / "f/b:c").write_text("x")
    code, _, err = ws("sync", "f", f"{name}:")
    assert code == Exit.USAGE
    assert "colon" in err
    assert document(ws("ls", name, "--json"))["version"] == 0


@pytest.mark.parametrize("word", ["plain", "w:../x", "w:/etc/passwd", "w:a//b", "w:a\\b", "w:", "w:in/"])
def test_bad_places(ws: Run, word: str) -> None:
    assert ws("cat", word)[0] == Exit.USAGE


def test_history(ws: Run, name: str, here: Path) -> None:
    for text in ("one\n", "two\n"):
        write(here, a=text)
        ok(ws("put", "a", f"{name}:a", "-m", f"it is {text}"))
    ok(ws("put", "a", f"{name}:in/b"))
    assert "it is one" in ok(ws("log", name))
    log = document(ws("log", f"{name}:a", "--json"))
    assert [each["version"] for each in log["versions"]] == [2, 1]
    assert "Older ones" in ws("log", name, "--limit", "1")[2]
    assert ok(ws("diff", name)) == "+ in/b (4 bytes)\n"
    assert ok(ws("diff", name, "1", "2")) == "~ a (4 bytes → 4 bytes)\n"
    assert ok(ws("diff", f"{name}:in", "1", "3")) == "+ in/b (4 bytes)\n"
    text = ok(ws("diff", f"{name}:a", "1", "2", "--text"))
    assert "-one\n+two\n" in text
    assert len(document(ws("diff", name, "0", "3", "--json"))["changes"]) == 2
    ok(ws("restore", f"{name}:a", "1"))
    assert ok(ws("cat", f"{name}:a")) == "one\n"
    ok(ws("restore", f"{name}:in", "2"))
    assert ws("cat", f"{name}:in/b")[0] == Exit.NOT_FOUND
    assert document(ws("restore", name, "3", "--json"))["restored"] == 3
    assert ok(ws("cat", f"{name}:in/b")) == "two\n"
    assert ws("restore", name, "99")[0] == Exit.NOT_FOUND


def test_rm(ws: Run, name: str, here: Path) -> None:
    write(here, f__a="1", f__in__b="2", f__in__c="3")
    ok(ws("put", "f", f"{name}:"))
    assert "version 2" in ok(ws("rm", f"{name}:a"))
    assert ws("rm", f"{name}:in")[0] == Exit.USAGE
    assert ws("rm", f"{name}:in", "-r")[0] == Exit.USAGE
    assert ws("rm", f"{name}:")[0] == Exit.USAGE
    assert document(ws("rm", f"{name}:in", "-r", "-y", "--json"))["deleted"] == ["in/b", "in/c"]
    assert ws("rm", f"{name}:a")[0] == Exit.NOT_FOUND


def test_members_read_only(
    ws: Run, site: Site, name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here, a="1")
    ok(ws("put", "a", f"{name}:a"))
    monkeypatch.setenv("A2A_KEY", site.member)
    assert ok(ws("cat", f"{name}:a")) == "1"
    assert ws("put", "a", f"{name}:a")[0] == Exit.DENIED
    monkeypatch.setenv("A2A_KEY", site.other)
    assert ws("cat", f"{name}:a")[0] == Exit.NOT_FOUND


class ForgetsOnce(Uploads):
    """As after a restart between upload and commit."""

    asked = 0

    def allowed(self, principal: Principal, ref: ObjectRef, now: float) -> bool:
        self.asked += 1
        return self.asked > 1 and super().allowed(principal, ref, now)


def test_a_forgotten_upload_is_sent_again(ws: Run, site: Site, name: str, here: Path) -> None:
    write(here, f__a="soon forgotten")
    before, site.services.uploads = site.services.uploads, ForgetsOnce()
    try:
        assert ok(ws("sync", "f", f"{name}:")) == "+ a\n"
        assert site.services.uploads.asked == 2
    finally:
        site.services.uploads = before
