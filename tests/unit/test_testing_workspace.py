"""The workspace and the approvals of the test client that we ship: as on the platform, in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from a2a_cloud import Agent, Context, Problem, Scope, ScopeDenied
from a2a_cloud.agent.problem import BadDeclaration, InvalidArguments
from a2a_cloud.model.problem import WorkspaceConflict
from a2a_cloud.model.run import EffectStarted
from a2a_cloud.testing import AgentTest, NotAnswered, ScopeRequest, Workspace
from a2a_cloud.testing.agent_workspace import Draft, Rights, commit, kept

agent = Agent("tested")


@agent.skill
async def put(ctx: Context, path: str, text: str, how: str = "") -> None:
    await ctx.workspace.write(path, text)
    if how == "keep":
        await ctx.workspace.keep()
    if how:
        raise Problem("Later.")


@agent.skill
async def waits(ctx: Context, path: str) -> None:
    await ctx.workspace.write(path, "mine")
    await ctx.ask("Go on?")


@agent.skill(retries=1)
async def second_try(ctx: Context) -> list[str]:
    await ctx.workspace.write(f"try-{ctx.attempt}", "")
    if ctx.attempt == 1:
        raise Problem("Again.", retry=True)
    return [entry.path for entry in await ctx.workspace.list()]


@agent.skill
def replies(ctx: Context) -> None:
    ctx.workspace.write("said", "yes")
    ctx.reply("done")


@agent.skill
async def look(ctx: Context, pattern: str, folder: str = "") -> dict[str, Any]:
    ws = ctx.workspace
    listed = await ws.list(folder)
    return {
        "list": [[entry.path, entry.size] for entry in listed],
        "glob": [entry.path for entry in await ws.glob(pattern)],
    }


@agent.skill
async def ask(ctx: Context, read: list[str], reason: str = "") -> list[str]:
    scope: Scope = await ctx.request_scope(read=read, reason=reason)
    return [scope.approval, *scope.read]


@pytest.fixture
def client() -> Iterator[AgentTest]:
    with AgentTest(agent) as client:
        yield client


def test_a_workspace_is_a_mapping_of_paths(client: AgentTest, tmp_path: Path) -> None:
    ws = client.workspace
    ws["b/two.txt"] = b"\xff"
    ws.update({"a.txt": b"1"})
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x.md").write_text("# X")
    (tmp_path / "y.md").write_text("# Y")
    ws.load(tmp_path, "docs/")
    ws.load(tmp_path / "deep")
    assert list(ws) == ["a.txt", "b/two.txt", "docs/deep/x.md", "docs/y.md", "x.md"]
    assert (ws["a.txt"], ws.text("docs/y.md"), ws.glob("**/*.md")) == (
        b"1",
        "# Y",
        ["docs/deep/x.md", "docs/y.md", "x.md"],
    )
    del ws["a.txt"]
    assert "a.txt" not in ws
    assert (len(ws), ws.version, repr(ws)) == (4, 6, "<workspace of 4 files>")
    with pytest.raises(KeyError, match=r"no file 'a\.txt'; the workspace has b/two\.txt"):
        ws["a.txt"]
    for path, says in (("../a", r"`\.\.`"), ("b", "is a folder"), ("x.md/y", "is a file")):
        with pytest.raises(InvalidArguments, match=says):
            ws[path] = b""
    with pytest.raises(InvalidArguments, match="mean nothing here"):
        ws.glob("[ab]")


def test_what_a_run_wrote_is_there_when_it_completes(client: AgentTest) -> None:
    client.call("put", path="a", text="1")
    assert client.run("put", path="a", text="2", how="fail").status == "failed"
    assert client.workspace == {"a": b"1"}
    assert client.run("put", path="a", text="3", how="keep").status == "failed"
    assert client.workspace == {"a": b"3"}
    assert client.call("second_try").value == ["a", "try-2"]
    assert client.call("replies").value == "done"
    assert sorted(client.workspace) == ["a", "said", "try-2"]


def test_a_run_sees_the_version_that_it_began_with(client: AgentTest) -> None:
    def meanwhile(question: object) -> str:
        client.workspace["other"] = "new"
        return "yes"

    outcome = client.using(answers=meanwhile).call("waits", path="mine")
    assert outcome.problem is None
    assert client.workspace == {"mine": b"mine", "other": b"new"}


def test_two_that_write_the_same_path_conflict(client: AgentTest) -> None:
    def same(question: object) -> str:
        client.workspace["a"] = "mine"
        return "yes"

    def other(question: object) -> str:
        client.call("put", path="a", text="theirs")
        return "yes"

    assert client.using(answers=same).call("waits", path="a").status == "completed"
    outcome = client.using(answers=other).run("waits", path="a")
    assert outcome.problem is not None
    assert (outcome.status, outcome.problem.code) == ("failed", "workspace_conflict")
    assert "`a` was changed in version 3 by run_test_3" in outcome.problem.detail
    assert client.workspace == {"a": b"theirs"}


def test_a_file_where_the_run_needs_a_folder_conflicts_too(client: AgentTest) -> None:
    def other(question: object) -> str:
        client.workspace["a"] = "a file"
        return "yes"

    outcome = client.using(answers=other).run("waits", path="a/b")
    assert outcome.problem is not None
    assert "`a` is in the way" in outcome.problem.detail
    assert client.workspace == {"a": b"a file"}


def _folder(tmp_path: Path, manifest: str) -> Path:
    (tmp_path / "a2a.toml").write_text(f'name = "filer"\nentry = "agent.py"\n{manifest}')
    (tmp_path / "agent.py").write_text(
        "from a2a_cloud import Context, skill\n"
        "@skill\n"
        "async def copy(ctx: Context, source: str, target: str) -> str:\n"
        "    await ctx.workspace.copy(source, target.replace('OUT/', await ctx.workspace.output))\n"
        "    if target == 'late':\n"
        "        await ctx.ask('Go on?')\n"
        "    return await ctx.workspace.read_text(source)\n"
    )
    return tmp_path


def test_a_folder_may_do_what_its_manifest_declares(tmp_path: Path) -> None:
    manifest = '[grant]\nread = ["in/**"]\ndeny = ["in/secret/**"]\n'
    with AgentTest(_folder(tmp_path, manifest)) as client:
        client.workspace.update({"in/a": b"A", "in/secret/b": b"B", "c": b"C"})
        assert client.call("copy", source="in/a", target="OUT/a").value == "A"
        assert client.workspace["outputs/run_test_1/a"] == b"A"
        for source, target in (("c", "OUT/c"), ("in/secret/b", "OUT/b"), ("in/a", "in/b"), ("none", "OUT/n")):
            outcome = client.run("copy", source=source, target=target)
            assert outcome.problem is not None
            assert outcome.problem.info == {"agent_code": "forbidden"}
        # A test may try another one.
        wider = client.using(grant={"read": ["**"], "write": ["in/*"]})
        assert wider.call("copy", source="c", target="in/b").value == "C"
        with pytest.raises(BadDeclaration, match=r"unknown key `grant\.reed`.*`grant\.read`"):
            client.using(grant={"reed": []})


def test_the_last_writer_wins_where_that_is_chosen() -> None:
    objects: dict[str, bytes] = {}
    workspace = Workspace(objects)
    draft = Draft(workspace.files(), workspace.version, Rights(None, "run_1"), objects)
    draft.changes = {"a": kept(objects, b"ours"), "b/c": kept(objects, b"ours")}
    workspace["a"] = b"theirs"
    with pytest.raises(WorkspaceConflict, match="`a` was changed in version 1 by test"):
        commit(workspace, draft, "run_1", "refuse")
    commit(workspace, draft, "run_1", "last-writer")
    assert workspace == {"a": b"ours", "b/c": b"ours"}
    # A file where a folder is needed is nobody's choice.
    del workspace["b/c"]
    workspace["b"] = b"theirs"
    with pytest.raises(WorkspaceConflict, match="`b` is in the way"):
        commit(workspace, draft, "run_1", "last-writer")


def test_lists_show_what_the_run_may_see(client: AgentTest) -> None:
    client.workspace.update({"a/b/c": b"1", "a/b/d": b"2", "a/x/y": b"3", "top": b"4"})
    given = client.using(grant={"read": ["a/b/*"], "write": []})
    assert given.call("look", pattern="**").value == {"list": [["a", 0]], "glob": ["a/b/c", "a/b/d"]}
    assert given.call("look", pattern="*/*/c", folder="a").value == {"list": [["a/b", 0]], "glob": ["a/b/c"]}


def test_a_scope_needs_a_decision(client: AgentTest) -> None:
    with pytest.raises(NotAnswered, match=r"(?s)\(read=\['f/\*\*'\]; reason: 'why'\).*approve=True"):
        client.call("ask", read=["f/**"], reason="why")
    with pytest.raises(BadDeclaration, match="approve='yes' can't be used"):
        client.using(approve="yes")  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="approve returned 'yes'"):
        client.using(approve=lambda _: "yes").call("ask", read=["a"])
    with pytest.raises(ZeroDivisionError):
        client.using(approve=lambda _: 1 // 0).call("ask", read=["a"])


def test_a_scope_is_decided_by_a_function(client: AgentTest) -> None:
    asked: list[ScopeRequest] = []

    async def decide(request: ScopeRequest) -> object:
        asked.append(request)
        if request.reason == "raise":
            raise ScopeDenied("Not today.", remedy="Ask tomorrow.")
        return {"read": request.read[:1]} if len(request.read) > 1 else False

    given = client.using(approve=decide)
    result = given.call("ask", read=["a", "b"])
    assert result.value == ["appr_test_1_1", "a"]
    assert asked == [ScopeRequest(read=("a", "b"))]
    assert [one.granted.read for one in result.scopes if one.granted] == [("a",)]
    outcome = given.run("ask", read=["a"], reason="raise")
    assert (outcome.status, str(outcome.problem)) == ("rejected", "Not today. Ask tomorrow.")
    assert [(one.reason, one.granted) for one in outcome.scopes] == [("raise", None)]
    # What is asked again after a crash is decided again, and only then.
    kinds = [isinstance(event, EffectStarted) for event in result.events]
    assert given.replay(result, keep=kinds.index(True) + 1).value == result.value
    assert given.replay(result).value == result.value
    assert len(asked) == 3


def test_the_kit_alone_has_a_workspace_for_tests(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "class Only:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        if top not in sys.stdlib_module_names and top not in ('a2a_cloud', 'msgspec'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Only())\n"
        "from a2a_cloud import Agent, Context, Entry, Scope, ScopeDenied, Workspace\n"
        "from a2a_cloud.testing import AgentTest\n"
        "agent = Agent()\n"
        "@agent.skill\n"
        "def work(ctx: Context) -> str:\n"
        "    ctx.request_scope(read='in/**')\n"
        "    ctx.workspace.copy('in/a', ctx.workspace.output + 'a')\n"
        "    return ctx.workspace.read_text('in/a')\n"
        "with AgentTest(agent) as client:\n"
        "    client.workspace['in/a'] = 'A'\n"
        "    result = client.using(approve=True, grant={}).call('work')\n"
        "    print(result.value, list(client.workspace))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("A ['in/a', 'outputs/run_test_1/a']\n", "")
