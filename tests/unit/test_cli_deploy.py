"""`a2a deploy` against a server that plays the platform: what is sent, what is shown, what breaks."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_platform import Played
from cli_running import Run, entry, make_agent, release

from a2a_cloud.client import deploys
from a2a_cloud.wire.source import digest_source, list_source

pytest_plugins = ["cli_fixtures"]

RELEASES = "/api/v1/agents/greeter/releases"
SKILL = {
    "id": "greet",
    "description": "Greets.",
    "input_schema": {
        "type": "object",
        "properties": {"name": {"type": "string", "examples": ["Ada"]}, "times": {"type": "integer"}},
        "required": ["name", "times"],
    },
}


def first_time(played: Played) -> None:
    played.json("GET", RELEASES, {"code": "agent_not_found", "detail": "There is no such agent."}, 404)
    played.json("GET", "/api/v1/agents/greeter", {"name": "greeter", "skills": [SKILL]})


def serving(played: Played, number: int, *more: dict[str, Any]) -> None:
    played.json(
        "GET",
        RELEASES,
        {
            "agent": "greeter",
            "serving": number,
            "canary": None,
            "majors": [],
            "releases": [*more, release(number)],
        },
    )
    played.json("GET", "/api/v1/agents/greeter", {"name": "greeter", "skills": [SKILL]})


def follows(played: Played, number: int, *documents: dict[str, Any]) -> None:
    """The release's documents, one for each request; the last one stays."""
    left = list(documents)

    async def answer(_request: web.Request) -> web.StreamResponse:
        document = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response(document)

    played.answers["GET", f"{RELEASES}/{number}"] = answer


def test_a_first_deploy_from_the_folder_to_the_next_command(played: Played, a2a: Run, tmp_path: Path) -> None:
    first_time(played)
    folder = make_agent(tmp_path / "agent", notes__txt="x" * 2000, __a2aignore="notes.txt\n")
    building = release(1, state="building", serving=False, ended=None, environment=None)
    played.json("POST", RELEASES, building, 202)
    follows(
        played,
        1,
        {**building, "progress": [entry(1, "receive", "2 files", at="00.000")]},
        {
            **building,
            "progress": [
                entry(2, "environment", "resolving", at="00.100"),
                entry(3, "environment", "yanked: old 1.0", at="00.900", level="warning"),
            ],
        },
        release(
            1,
            findings=[
                {"code": "no_examples", "skill": "greet", "detail": "has no example", "remedy": "Add one."}
            ],
            progress=[entry(4, "switch", "serves", at="01.400")],
        ),
    )
    code, out, err = a2a("deploy", str(folder))
    assert code == 0
    sent = played.last("POST", RELEASES)
    files = list_source(folder)
    digest = digest_source(folder, files)
    assert sent.headers["A2A-Source-Digest"] == digest
    assert sent.headers["Content-Type"] == "application/gzip"
    assert sent.headers["Content-Length"] == str(sent.size)
    assert sent.query == {}
    with tarfile.open(fileobj=BytesIO(sent.body)) as archive:
        assert sorted(archive.getnames()) == [".a2aignore", "a2a.toml", "agent.py"]
    assert "packed 3 files" in err
    assert [a.query["after"] for a in played.asked if a.path == f"{RELEASES}/1"] == ["0", "1", "3"]
    for line in ("receive: 2 files", "receive took 0.10 s", "environment took 1.3 s", "switch took 0.10 s"):
        assert line in err.splitlines()
    assert "warning: yanked: old 1.0 (environment)" in err
    assert out.splitlines()[0] == "Release 1 of greeter serves at http://127.0.0.1:8080/agents/greeter"
    for part in (
        "http://1--greeter.localhost:8080\n",
        "2 packages, Python 3.11.7",
        "not isolated",
        "greet: has no example (no_examples)",
        "Add one.",
        "a2a call greeter greet name=Ada times:=1",
    ):
        assert part in out


def test_the_end_of_a_deploy_says_which_sandbox_and_what_it_lacks(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    jail = {"name": "jail", "layers": ["seccomp"], "missing": ["No control groups."]}
    jailed = release(7, sandbox=jail, isolation="run", require="jail")
    played.json("POST", RELEASES, release(7, state="building", serving=False), 202)
    follows(played, 7, {**jailed, "progress": []})
    code, out, _ = a2a("deploy")
    assert code == 0
    assert "  sandbox     jail, required; each run has a process of its own\n" in out
    assert "1 gap on this machine: a2a doctor\n" in out
    assert "not isolated" not in out


def test_this_folder_is_the_default_and_the_options_are_passed_on(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(7, state="building", serving=False), 202)
    change = {"skill": "greet", "where": "input.name", "breaking": True, "detail": "was removed"}
    fine = {"skill": "wave", "where": "", "breaking": False, "detail": "is new"}
    follows(played, 7, release(7, serving=False, changes=[fine, change], progress=[]))
    code, out, _ = a2a("deploy", "--force", "--upgrade", "--no-promote")
    assert code == 0
    assert played.last("POST", RELEASES).query == {"force": "1", "upgrade": "1", "promote": "0"}
    assert "Release 7 of greeter is ready and does not serve" in out
    assert "a2a promote greeter 7" in out
    assert "2 changes of the card since release 6, 1 breaking:" in out
    assert out.index("breaking  greet.input.name: was removed") < out.index("wave: is new")


def test_the_same_source_again_is_the_release_that_there_is(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(6), 200)
    code, out, _ = a2a("deploy")
    assert code == 0
    assert "Nothing changed" in out
    assert not any(a.path == f"{RELEASES}/6" for a in played.asked)


def test_json_is_one_document_and_stream_a_line_each(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(7, state="building"), 202)
    done = release(7, progress=[entry(1, "receive"), entry(2, "switch")])
    follows(played, 7, done)
    code, out, err = a2a("deploy", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert (document["release"], document["state"], document["packed"]["files"]) == (7, "ready", 2)
    assert [each["no"] for each in document["progress"]] == [1, 2]
    follows(played, 7, done)
    code, out, err = a2a("deploy", "--json", "--stream")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [line["event"] for line in lines] == ["packed", "release", "progress", "progress", "end"]
    assert lines[-1]["data"]["release"] == 7


def test_weak_points_of_many_skills_are_told_together(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(7, state="building"), 202)
    weak = {"code": "tags_missing", "detail": "It has no tags.", "remedy": "Write a few."}
    findings = [{**weak, "skill": f"s{each}"} for each in range(6)] + [{**weak, "code": "x", "skill": ""}]
    follows(played, 7, release(7, findings=findings, progress=[]))
    out = a2a("deploy")[1]
    assert "The card has 7 weak points:" in out
    assert "  s0, s1, s2, s3 and 2 more: It has no tags. (tags_missing)\n    Write a few.\n" in out
    assert "  It has no tags. (x)" in out
    played.json("POST", RELEASES, release(7, findings=findings), 200)
    assert "7 weak points, as before" in a2a("deploy")[1]


def test_a_secret_is_refused_before_anything_is_sent(played: Played, a2a: Run) -> None:
    token = "ghp_" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2"
    folder = make_agent(Path.cwd() / "agent", config__py=f"A = 1\nTOKEN = '{token}'\n", __env="A=b\n")
    code, out, err = a2a("deploy", "agent", "--json")
    error = json.loads(out)["error"]
    assert code == error["exit"] == 2
    assert error["code"] == "secret_in_source"
    assert {"path": "config.py", "line": 2, "what": "a GitHub token"} in error["secrets"]
    assert f"{folder.name}/config.py:2: a GitHub token" in err
    assert f"{folder.name}/.env: " in err
    assert ".a2aignore" in err
    assert token not in out + err
    assert played.asked == []


FAILED = release(
    7,
    state="failed",
    serving=False,
    step="start",
    cause={
        "code": "start_failed",
        "detail": "ModuleNotFoundError: No module named 'pandas'.",
        "remedy": "Add pandas to requirements.txt.",
        "step": "start",
        "lines": ["Traceback (most recent call last):", "  \x1b[31magent.py\x1b[0m, line 1"],
    },
    progress=[entry(1, "start", "starting")],
)


def test_a_failed_deploy_explains_itself(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(7, state="building"), 202)
    follows(played, 7, FAILED)
    code, out, err = a2a("deploy")
    assert (code, out) == (1, "")
    assert "start failed after 1.5 s" in err
    lines = err.splitlines()
    at = lines.index("a2a: Release 7 of greeter failed at the step start: " + FAILED["cause"]["detail"])
    assert lines.index("  Traceback (most recent call last):") < at
    assert "    \\u001b[31magent.py\\u001b[0m, line 1" in lines
    rest = "\n".join(lines[at:])
    for part in (
        "Add pandas to requirements.txt. Release 6 keeps serving.",
        "a2a logs greeter --release 7",
        "a2a deploy",
        "start_failed",
    ):
        assert part in rest


def test_a_failed_deploy_for_programs(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(7, state="building"), 202)
    follows(played, 7, FAILED)
    code, out, _ = a2a("deploy", "--json")
    document = json.loads(out)
    assert code == 1
    assert document["cause"] == FAILED["cause"]
    assert (document["error"]["code"], document["error"]["step"]) == ("start_failed", "start")
    assert (document["error"]["serving"], document["error"]["exit"]) == (6, 1)


def test_a_breaking_change_names_force(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(7, state="building"), 202)
    cause = {
        "code": "breaking_change",
        "detail": "greet lost name.",
        "remedy": "",
        "step": "compare",
        "lines": [],
    }
    follows(played, 7, release(7, state="failed", serving=False, cause=cause))
    code, _, err = a2a("deploy")
    assert code == 1
    assert "a2a deploy --force" in err


def test_a_restart_in_the_middle_does_not_fail_it(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(7, state="building"), 202)
    building = release(7, state="building", serving=False, ended=None)
    asked = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked == 1:
            return web.json_response({**building, "progress": [entry(1, "environment", "resolving")]})
        if asked == 2:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if asked == 3:
            return web.json_response({"code": "unavailable", "detail": "Draining."}, status=503)
        assert request.query["after"] == "1"
        return web.json_response(release(7, progress=[entry(1, "environment"), entry(2, "switch")]))

    played.answers["GET", f"{RELEASES}/7"] = answer
    code, out, err = a2a("deploy")
    assert code == 0
    assert asked == 4
    assert err.count("the deploy goes on, asking again for up to 5 minutes") == 1
    assert "connected again" in err
    assert "Release 7 of greeter serves" in out


def test_an_upload_that_broke_is_looked_for_before_it_is_sent_again(played: Played, a2a: Run) -> None:
    make_agent(Path.cwd())
    digest = digest_source(Path.cwd(), list_source(Path.cwd()))
    serving(played, 6)

    async def cut(request: web.Request) -> web.StreamResponse:
        serving(played, 6, release(7, source_digest=digest, serving=False, state="building"))
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    played.answers["POST", RELEASES] = cut
    follows(played, 7, release(7, progress=[]))
    code, out, _ = a2a("deploy")
    assert code == 0
    assert sum(a.method == "POST" for a in played.asked) == 1
    assert "Release 7 of greeter serves" in out


def test_an_upload_that_never_arrived_is_sent_again(played: Played, a2a: Run) -> None:
    make_agent(Path.cwd())
    serving(played, 6)
    tries = 0

    async def cut_once(request: web.Request) -> web.StreamResponse:
        nonlocal tries
        tries += 1
        if tries == 1:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(release(7, state="building"), status=202)

    played.answers["POST", RELEASES] = cut_once
    follows(played, 7, release(7, progress=[]))
    assert a2a("deploy")[0] == 0
    bodies = [a.body for a in played.asked if a.method == "POST"]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


def test_a_platform_that_never_comes_back_leaves_the_end_unknown(
    played: Played, a2a: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploys, "PATIENCE", 0.05)
    serving(played, 6)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(7, state="building"), 202)
    played.json("GET", f"{RELEASES}/7", {"code": "unavailable", "detail": "Draining."}, 503)
    code, _, err = a2a("deploy")
    assert code == 10
    assert "How release 7 of greeter ended is not known" in err
    assert "a2a releases greeter" in err


def test_no_platform_is_said_at_once(a2a: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make_agent(Path.cwd())
    monkeypatch.setenv("A2A_URL", "http://127.0.0.1:1")
    code, _, err = a2a("deploy")
    assert code == 3
    assert "a2a up" in err


def test_what_the_platform_refuses_is_told_with_what_serves(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd())
    problem = {
        "code": "invalid_params",
        "detail": "a2a.toml has an unknown key `nme`.",
        "remedy": "Did you mean?",
    }
    played.json("POST", RELEASES, problem, 400)
    code, _, err = a2a("deploy")
    assert code == 2
    assert "unknown key" in err
    assert "Did you mean? Release 6 keeps serving." in err
    problem = {"code": "forbidden", "detail": "Only admins change agents.", "remedy": "Use an admin's key."}
    played.json("POST", RELEASES, problem, 403)
    assert a2a("deploy")[0] == 4


def test_another_organisation_s_agent_is_followed_by_its_full_name(played: Played, a2a: Run) -> None:
    first_time(played)
    make_agent(Path.cwd())
    played.json("POST", RELEASES, release(1, org="acme", state="building"), 202)
    played.json("GET", "/api/v1/agents/acme.greeter/releases/1", release(1, org="acme", progress=[]))
    code, out, _ = a2a("deploy")
    assert code == 0
    assert "Release 1 of acme.greeter serves" in out
    assert "a2a show acme.greeter" in out


def test_a_big_source_names_its_largest_files(played: Played, a2a: Run) -> None:
    serving(played, 6)
    make_agent(Path.cwd(), data__csv=b"1,2\n" * 300_000)
    played.json("POST", RELEASES, release(6), 200)
    _, _, err = a2a("deploy")
    assert "packed 3 files, 1.2 MB" in err
    assert "   1.2 MB  data.csv" in err
    assert ".a2aignore" in err


@pytest.mark.parametrize(
    ("path", "toml", "said"),
    [
        ("nowhere", None, "does not exist"),
        ("empty", None, "has no a2a.toml"),
        ("agent", "name = [", "is not valid TOML"),
        ("agent", 'entry = "agent"', "gives the agent no name"),
    ],
)
def test_a_folder_that_is_no_agent(a2a: Run, path: str, toml: str | None, said: str) -> None:
    (Path.cwd() / "empty").mkdir()
    make_agent(Path.cwd() / "agent")
    if toml is not None:
        (Path.cwd() / "agent" / "a2a.toml").write_text(toml)
    code, _, err = a2a("deploy", path)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) >= 2


def test_a_link_in_the_source_is_refused_with_its_remedy(played: Played, a2a: Run) -> None:
    make_agent(Path.cwd())
    (Path.cwd() / "link").symlink_to("/etc/hostname")
    code, _, err = a2a("deploy")
    assert code == 2
    assert "symbolic link" in err
    assert played.asked == []
