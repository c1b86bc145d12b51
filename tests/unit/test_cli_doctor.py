"""`a2a doctor`: each check in its good and its bad state, with and without a platform."""

from __future__ import annotations

import json
import os
import socket
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import pytest
from aiohttp import web
from cli_platform import Played
from cli_running import Run

pytest_plugins = ["cli_fixtures"]

Checks = dict[str, dict[str, Any]]


def healthy(played: Played, *, skew: float = 0.0, checks: list[dict[str, Any]] | None = None) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": True}, headers={"Date": formatdate(time() + skew, usegmt=True)})

    played.answers["GET", "/healthz"] = answer
    played.json("GET", "/api/v1/doctor", {"checks": checks or []})


def checked(a2a: Run) -> tuple[int, Checks]:
    code, out, _ = a2a("doctor", "--json")
    return code, {each["name"]: each for each in json.loads(out)["checks"]}


@pytest.fixture(autouse=True)
def _free_port(monkeypatch: pytest.MonkeyPatch, played: Played) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("A2A_PORT", str(server.getsockname()[1]))


def test_all_is_well_but_nobody_knows_of_a_sandbox(played: Played, a2a: Run) -> None:
    journal = {"name": "journal", "state": "ok", "detail": "writes", "remedy": ""}
    healthy(played, checks=[journal])
    code, found = checked(a2a)
    assert code == 0
    for name in ("python", "packages", "uv", "data", "port", "profiles", "platform", "clock", "journal"):
        assert found[name]["state"] == "ok", found[name]
    assert found["sandbox"]["state"] == "warn"
    assert "not known" in found["sandbox"]["detail"]
    assert found["bubblewrap"]["state"] in ("ok", "warn")
    out = a2a("doctor")[1]
    assert "journal" in out
    assert "0 failed" in out.splitlines()[-1]
    assert all(each["remedy"] for each in found.values() if each["state"] != "ok")


def test_the_platform_speaks_for_its_own_sandbox(played: Played, a2a: Run) -> None:
    healthy(played, checks=[{"name": "sandbox", "state": "warn", "detail": "none", "remedy": "Wait."}])
    _, out, _ = a2a("doctor")
    assert out.count("sandbox") == 1


def test_a_check_of_the_platform_that_fails_is_exit_code_1(played: Played, a2a: Run) -> None:
    healthy(
        played, checks=[{"name": "disk of it", "state": "fail", "detail": "full", "remedy": "Free some."}]
    )
    code, out, _ = a2a("doctor")
    assert code == 1
    assert "→ Free some." in out


def test_it_works_offline(a2a: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A2A_URL", "http://127.0.0.1:1")
    code, found = checked(a2a)
    assert code == 1
    assert found["platform"]["state"] == "fail"
    assert found["platform"]["remedy"] == "Start it: a2a up"
    monkeypatch.delenv("A2A_URL")
    code, found = checked(a2a)
    assert code == 0  # none was ever started: that is no failure
    assert found["platform"]["state"] == "warn"


def test_clocks_that_differ(played: Played, a2a: Run) -> None:
    healthy(played, skew=-30)
    code, found = checked(a2a)
    assert (code, found["clock"]["state"]) == (0, "warn")
    assert "behind" in found["clock"]["detail"]
    healthy(played, skew=3600)
    code, found = checked(a2a)
    assert (code, found["clock"]["state"]) == (1, "fail")


def test_a_key_that_may_not_see_the_platform_s_checks(played: Played, a2a: Run) -> None:
    healthy(played)
    problem = {"code": "forbidden", "detail": "Admins only.", "remedy": "Use an admin's key."}
    played.json("GET", "/api/v1/doctor", problem, 403)
    code, found = checked(a2a)
    assert (code, found["key"]["state"]) == (0, "warn")
    assert found["key"]["remedy"] == "Use an admin's key."


def test_files_that_others_can_read(
    played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    healthy(played)
    key = tmp_path / "my.key"
    key.write_text("k\n")
    key.chmod(0o644)
    profiles = tmp_path / "config" / "a2a" / "profiles.toml"
    profiles.parent.mkdir(parents=True)
    profiles.write_text(f'[local]\nurl = "http://127.0.0.1:1"\nkey_file = "{key}"\n')
    profiles.chmod(0o640)
    code, found = checked(a2a)
    assert code == 0
    assert found["profiles"]["remedy"] == f"chmod 600 {profiles}"
    assert found["key file"]["remedy"] == f"chmod 600 {key}"
    key.chmod(0o600)
    profiles.chmod(0o600)
    _, found = checked(a2a)
    assert found["profiles"]["state"] == found["key file"]["state"] == "ok"
    key.unlink()
    assert checked(a2a)[1]["key file"]["state"] == "warn"
    profiles.write_text("[")
    code, found = checked(a2a)
    assert (code, found["profiles"]["state"]) == (1, "fail")


def test_port_data_folder_and_uv_that_do_not_fit(
    played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    healthy(played)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("A2A_PORT", str(taken.getsockname()[1]))
        found = checked(a2a)[1]
        assert found["port"]["state"] == "warn"
        assert "a2a up --port 0" in found["port"]["remedy"]
    monkeypatch.setenv("A2A_PORT", played.url.rpartition(":")[2])
    assert "which runs" in checked(a2a)[1]["port"]["detail"]
    monkeypatch.setenv("A2A_PORT", "http")
    assert checked(a2a)[1]["port"]["state"] == "fail"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("A2A_DATA", str(tmp_path / "file"))
    code, found = checked(a2a)
    assert (code, found["data"]["state"]) == (1, "fail")
    if os.geteuid():
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        monkeypatch.setenv("A2A_DATA", str(locked / "data"))
        assert checked(a2a)[1]["data"]["state"] == "fail"


@pytest.mark.parametrize(
    ("found", "clauses", "fits"),
    [
        ("3.13.2", ">=3.13,<4", True),
        ("3.9", ">=3.13,<4", False),
        ("4.0", ">=3.13,<4", False),
        ("0.20.0rc1", ">=0.20,<1", True),
        ("1.0", "==1", True),
        ("2", "", True),
    ],
)
def test_versions_are_compared_by_their_numbers(found: str, clauses: str, fits: bool) -> None:
    from a2a_cloud.callers.cli.doctor_checks import version_fits

    assert version_fits(found, clauses) is fits
