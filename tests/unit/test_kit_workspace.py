"""`ctx.workspace` and `ctx.request_scope` as skills use them: the kit's worker code, frames both ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from a2a_cloud import Agent, Context, Entry, File, Problem, Refuse, Scope, ScopeDenied
from a2a_cloud.agent.files import BLOCK
from a2a_cloud.agent.problem import InvalidArguments
from a2a_cloud.testing import AgentTest
from a2a_cloud.wire.worker import (
    CHUNK,
    INLINE_LIMIT,
    MAX_UPLOADS,
    Answer,
    Effect,
    decode_from_runtime,
    decode_from_worker,
    encode,
)

agent = Agent("files")
BIG = bytes(range(256)) * (3 * CHUNK // 256) + b"end"
SMALL = b"x" * INLINE_LIMIT


@agent.skill
async def all_of_it(ctx: Context) -> dict[str, Any]:
    ws = ctx.workspace
    written = await ws.write("notes/a.md", "Grüße\n")
    assert written == Entry("notes/a.md", "file", 8, written.sha256)
    assert (await ws.append("notes/a.md", b"more")).size == 12
    assert await ws.append("notes/new.md", "new") == await ws.stat("notes/new.md")
    await ws.copy("notes/a.md", "notes/b.md")
    await ws.delete("notes/new.md")
    assert await ws.read("notes/a.md") == "Grüße\nmore".encode()
    assert await ws.read("notes/a.md", 2, 3) == "ü".encode() + b"\xc3"
    assert await ws.read("notes/a.md", 100) == b""
    assert await ws.read_text("notes/b.md") == "Grüße\nmore"
    assert await ws.stat("nothing") is None
    assert not await ws.exists("notes/new.md")
    assert await ws.exists("notes")
    folder = await ws.stat("notes")
    assert (folder.is_folder, folder.files, folder.size, folder.name) == (True, 2, 24, "notes")
    info = await ws.info()
    return {
        "list": [entry.path for entry in await ws.list("notes")],
        "root": [entry.kind for entry in await ws.list()],
        "glob": [entry.name for entry in await ws.glob("**/*.md")],
        "output": await ws.output,
        "base": info.base,
    }


@agent.skill
def blocking(ctx: Context) -> str:
    ws = ctx.workspace
    ws.write(ws.output + "a.txt", "one\ntwo\nthree")
    with ws.open(ws.output + "a.txt", "a") as out:
        out.write("\nfour")
    with ws.open(ws.output + "a.txt", "r") as lines:
        found = list(lines)
    assert found == ["one\n", "two\n", "three\n", "four"]
    assert [entry.size for entry in ws.glob("outputs/*/*.txt")] == [18]
    assert ws.stat("b") is None
    text: str = ws.read_text(ws.output + "a.txt")
    return text


@agent.skill
async def large(ctx: Context) -> list[Any]:
    ws = ctx.workspace
    async with ws.open("big.bin", "wb") as out:
        for at in range(0, len(BIG), 100_000):
            await out.write(BIG[at : at + 100_000])
        assert not await ws.exists("big.bin")
    assert await ws.read("big.bin") == BIG
    assert await ws.read("big.bin", CHUNK - 1, INLINE_LIMIT + 1) == BIG[CHUNK - 1 :][: INLINE_LIMIT + 1]
    blocks: list[int] = []
    async with ws.open("big.bin") as source, ws.open("copy.bin", "wb") as target:
        assert source.size == len(BIG)
        async for block in source:
            blocks.append(len(block))
            await target.write(memoryview(block))
    async with ws.open("big.bin") as source:
        assert await source.read(3) == BIG[:3]
        assert await source.read(CHUNK) == BIG[3 : CHUNK + 3]
        assert await source.read() == BIG[CHUNK + 3 :]
        assert await source.read(1) == b""
    same = (await ws.stat("copy.bin")).sha256 == (await ws.stat("big.bin")).sha256
    await ws.write("bytes.bin", BIG)
    await ws.append("bytes.bin", SMALL + b"y")
    return [same, blocks[:2], (await ws.stat("bytes.bin")).size - len(BIG)]


@agent.skill
async def texts(ctx: Context) -> list[Any]:
    ws = ctx.workspace
    async with ws.open("u16.txt", "w", encoding="utf-16") as out:
        await out.write("äöü\n")
        await out.write("x" * CHUNK)
    async with ws.open("u16.txt", "r", encoding="utf-16") as lines:
        first, rest = await lines.readline(), await lines.read()
        assert (first, rest, await lines.readline()) == ("äöü\n", "x" * CHUNK, "")
    await ws.write("marked.txt", b"\xef\xbb\xbf" + "é\n".encode() * CHUNK)
    count = 0
    async with ws.open("marked.txt", "r") as lines:
        assert await lines.read(3) == "é\né"
        async for line in lines:
            count += len(line)
    async with ws.open("empty.txt", "w"):
        pass
    async with ws.open("empty.txt", "r") as empty:
        nothing = [line async for line in empty]
    return [count, nothing, (await ws.stat("empty.txt")).size]


@agent.skill
async def files(ctx: Context, document: File) -> list[Any]:
    ws = ctx.workspace
    adopted = await ws.adopt("in/document", document)
    file: File = await ws.file("in/document")
    assert (file.name, file.size) == ("document", document.size)
    await ctx.artifact("again", file)
    await ctx.artifact("csv", await ws.file("table.csv"))
    await ws.write("made.bin", File.from_bytes("made", BIG))
    made: File = await ws.file("made.bin")
    await ws.adopt("made-again.bin", made)
    await ws.append("made.bin", made)
    data = await made.aread()
    return [adopted.size, data == BIG, await ctx.call("reader", "count", file=made)]


@agent.skill
async def wrong(ctx: Context, what: str) -> Any:
    ws = ctx.workspace
    if what == "unencodable":
        return await ws.write("a", "\udc80")
    if what == "value":
        return await ws.write("a", {"a": 1})  # type: ignore[arg-type]
    if what == "adopt":
        return await ws.adopt("a", b"bytes")  # type: ignore[arg-type]
    if what == "mode":
        return ws.open("a", "r+")
    if what == "encoding":
        return await ws.open("there.txt", "r", "none-such").read()
    if what == "write it":
        return await ws.open("there.txt").write(b"")
    if what == "read it":
        return await ws.open("there.txt", "wb").read()
    if what == "text":
        return await ws.open("there.txt", "wb").write("text")
    if what == "with":
        with ws.open("there.txt"):
            return None
    if what == "closed":
        async with ws.open("there.txt") as opened:
            pass
        return await opened.read()
    if what == "no text":
        async with ws.open("binary", "r") as opened:
            return await opened.read()
    if what == "ascii":
        async with ws.open("a", "w", encoding="ascii") as opened:
            return await opened.write("ä")
    if what == "lines":
        return await ws.open("binary").readline()
    if what == "offset":
        return await ws.read("there.txt", -1)
    if what == "path":
        return await ws.read("")
    if what == "type":
        return await ws.read(7)  # type: ignore[arg-type]
    if what == "list":
        return await ws.list("there.txt")
    if what == "below a file":
        return await ws.write("there.txt/below", b"")
    return await ws.read(what)


@agent.skill
async def gives_up(ctx: Context, size: int) -> list[bool]:
    ws = ctx.workspace
    for _ in range(2 * MAX_UPLOADS):  # Each must let go of what it began.
        with contextlib.suppress(ZeroDivisionError):
            async with ws.open("half", "wb") as out:
                await out.write(b"x" * size)
                raise ZeroDivisionError
    return [await ws.exists("half")]


@agent.skill
async def many_at_once(ctx: Context, count: int) -> Any:
    ws = ctx.workspace
    async with contextlib.AsyncExitStack() as stack:
        for number in range(count):
            out = await stack.enter_async_context(ws.open(f"{number}", "wb"))
            await out.write(b"x" * CHUNK)
    return len(await ws.list())


@agent.skill
async def one_large(ctx: Context, number: int) -> None:
    async with ctx.workspace.open(f"{number}", "wb") as out:
        for _ in range(3):
            await out.write(b"x" * CHUNK)
            await asyncio.sleep(0.001)


@agent.skill
async def interrupted(ctx: Context) -> Any:
    async with ctx.workspace.open("a", "wb") as out:
        work = asyncio.ensure_future(out.write(b"x" * (CHUNK + 1)))
        await asyncio.sleep(0)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


@agent.skill
async def crowded(ctx: Context) -> list[Any]:
    listed = await ctx.workspace.list("many")
    globbed = await ctx.workspace.glob("many/*")
    return [len(listed), listed == globbed, listed[0].name, listed[-1].name]


@agent.skill(durable=True)
async def durable(ctx: Context) -> list[Any]:
    ws = ctx.workspace
    await ws.append("log.txt", "1")
    await ws.append("log.txt", "2")
    file: File = await ws.file("log.txt")
    await ctx.artifact("log", file)
    scope: Scope = await ctx.request_scope(read="secret/**", reason="to know")
    await ws.append("log.txt", await ws.read("secret/a"))
    await ws.keep()
    async with ws.open("log.txt", "a") as out:
        await out.write("4")
    return [await ws.read_text("log.txt"), scope.grant, await ws.output]


@agent.skill
async def asks_for_more(ctx: Context) -> dict[str, Any]:
    with pytest.raises(Problem, match=r"does not allow to read finance/may\.csv"):
        await ctx.workspace.read("finance/may.csv")
    scope: Scope = await ctx.request_scope(read=["finance/**"], write="out/*", reason="May", seconds=60)
    data = await ctx.workspace.read("finance/may.csv")
    return {"scope": scope, "data": data.decode(), "left": (ctx.deadline - ctx.now()).total_seconds() > 0}


@agent.skill
async def asks_and_goes_on(ctx: Context) -> list[Any]:
    try:
        await ctx.request_scope(skills="pricing/*", egress="api.example.com")
    except ScopeDenied as denied:
        return [denied.code, denied.expired, denied.detail]
    return []


@agent.skill
def asks_blocking(ctx: Context, what: str) -> list[str]:
    if what == "nothing":
        ctx.request_scope(reason="just so")
    elif what == "seconds":
        ctx.request_scope(read="a", seconds=-1)
    elif what == "empty":
        ctx.request_scope(read=["a", ""])
    elif what == "type":
        ctx.request_scope(read=[7])  # type: ignore[list-item]
    scope: Scope = ctx.request_scope(write=what)
    return list(scope.write)


@pytest.fixture
def tested() -> Iterator[AgentTest]:
    with AgentTest(agent) as client:
        client.workspace["there.txt"] = "here"
        yield client


def test_frames_grow_at_their_end() -> None:
    # What an older side sends and reads: the same arrays without the last element.
    old = encode(Effect(1, 2, "ws", "read", b"{}", b"{}"))[4:]
    shorter = bytes([old[0] - 1]) + old[1:-2]  # `data` as an empty bin: two bytes.
    assert old.endswith(b"\xc4\x00")
    assert decode_from_worker(shorter) == Effect(1, 2, "ws", "read", b"{}", b"{}")
    answer = Answer(1, 2, b"{}", data=b"content")
    assert decode_from_runtime(encode(answer)[4:]) == answer


def test_every_operation(tested: AgentTest) -> None:
    value = tested.call("all_of_it").value
    assert value == {
        "list": ["notes/a.md", "notes/b.md"],
        "root": ["folder", "file"],
        "glob": ["a.md", "b.md"],
        "output": "outputs/run_test_1/",
        "base": 1,
    }
    assert tested.workspace.text("notes/a.md") == "Grüße\nmore"
    assert list(tested.workspace) == ["notes/a.md", "notes/b.md", "there.txt"]


def test_the_blocking_face(tested: AgentTest) -> None:
    assert tested.call("blocking").value == "one\ntwo\nthree\nfour"


def test_large_files_go_in_chunks(tested: AgentTest) -> None:
    assert tested.call("large").value == [True, [BLOCK, BLOCK], INLINE_LIMIT + 1]
    assert tested.workspace["copy.bin"] == BIG
    assert tested.workspace["bytes.bin"] == BIG + SMALL + b"y"


def test_texts_in_any_encoding_and_their_lines(tested: AgentTest) -> None:
    assert tested.call("texts").value == [2 * CHUNK - 3, [], 0]


@pytest.mark.parametrize("size", [10, INLINE_LIMIT + 1])
def test_files_are_adopted_and_given_back(tested: AgentTest, size: int) -> None:
    tested.workspace["table.csv"] = "a,b"
    asked: list[int] = []

    def count(file: File) -> int:
        asked.append(file.size)
        return file.size

    document = File.from_bytes("doc.bin", b"d" * size)
    result = tested.using(calls={"reader/count": count}).call("files", document=document)
    assert result.value == [size, True, len(BIG)]
    assert asked == [len(BIG)]
    assert result.artifacts["again"].bytes == b"d" * size
    assert (result.artifacts["csv"].media_type, result.artifacts["csv"].text) == ("text/csv", "a,b")
    assert tested.workspace["made.bin"] == BIG + BIG
    assert tested.workspace["made-again.bin"] == BIG


@pytest.mark.parametrize(
    ("what", "code", "says"),
    [
        ("missing.txt", "file_not_found", "no file 'missing.txt'"),
        ("folder", "file_not_found", "'folder' is a folder"),
        ("../up", "invalid_params", r"segment `\.\.`"),
        ("/abs", "invalid_params", "is absolute"),
        ("path", "invalid_params", "this one is empty"),
        ("type", "invalid_params", "of type int"),
        ("offset", "invalid_params", "byte -1"),
        ("list", "file_not_found", "no folder 'there.txt'"),
        ("below a file", "invalid_params", "'there.txt' is a file"),
        ("unencodable", "invalid_params", "half of a surrogate pair at position 0"),
        ("value", "invalid_params", r"not dict\. Of a value write its JSON"),
        ("adopt", "skill_failed", "Only a File"),
        ("mode", "skill_failed", r"as 'r\+'. Write rb"),
        ("encoding", "invalid_params", "no encoding 'none-such'"),
        ("write it", "skill_failed", "open for reading"),
        ("read it", "skill_failed", "open for writing"),
        ("text", "invalid_params", "takes bytes, not str"),
        ("with", "skill_failed", "async with"),
        ("closed", "skill_failed", "is closed"),
        ("no text", "invalid_params", "is not utf-8 text"),
        ("ascii", "invalid_params", "can't be written as ascii"),
        ("lines", "skill_failed", "have no lines"),
    ],
)
def test_what_goes_wrong_says_so(tested: AgentTest, what: str, code: str, says: str) -> None:
    tested.workspace["folder/file"] = b""
    tested.workspace["binary"] = b"\xff\xfe\xff"
    outcome = tested.run("wrong", what=what)
    assert outcome.problem is not None
    with pytest.raises(Problem, match=says):
        raise outcome.problem
    assert outcome.problem.info.get("agent_code", outcome.problem.code) == code
    assert "a" not in tested.workspace


@pytest.mark.parametrize("size", [10, CHUNK + 1])
def test_a_block_left_by_an_exception_writes_nothing(tested: AgentTest, size: int) -> None:
    assert tested.call("gives_up", size=size).value == [False]
    assert tested.call("many_at_once", count=MAX_UPLOADS // 4).value == MAX_UPLOADS // 4 + 1


def test_one_run_can_not_make_all_wait(tested: AgentTest) -> None:
    outcome = tested.run("many_at_once", count=MAX_UPLOADS // 4 + 1)
    assert outcome.problem is not None
    assert "Finish one before you open the next." in str(outcome.problem)
    # What it held is free again, and runs wait for each other.
    assert tested.run("many_at_once", count=MAX_UPLOADS // 4).status == "completed"
    running = [tested.start("one_large", number=number) for number in range(MAX_UPLOADS)]
    assert {one.outcome().status for one in running} == {"completed"}


def test_a_content_with_a_hole_is_not_written(tested: AgentTest) -> None:
    assert "writing it was interrupted" in str(tested.run("interrupted").problem)
    assert "a" not in tested.workspace


def test_lists_come_in_pages(tested: AgentTest) -> None:
    for number in range(1200):
        tested.workspace[f"many/{number:04}"] = b""
    assert tested.call("crowded").value == [1200, True, "0000", "1199"]


def test_a_replay_reads_what_the_first_life_read() -> None:
    with AgentTest(agent) as client:
        client.workspace["secret/a"] = "3"
        given = client.using(approve=True, grant={"write": ["*.txt"], "read": ["*.txt"]})
        result = given.call("durable")
        assert result.value == ["1234", "grant_test_1_1", ""]
        del client.workspace["secret/a"]
        for keep in range(len(result.events) + 1):
            client.workspace.pop("log.txt", None)
            again = given.replay(result, keep=keep)
            assert (again.problem, again.value) == (None, result.value), keep
            assert client.workspace["log.txt"] == b"1234"
            assert again.artifacts["log"].text == "12"


def test_scopes_are_asked_for(tested: AgentTest) -> None:
    tested.workspace["finance/may.csv"] = "1,2"
    given = tested.using(grant={"read": ["public/**"]}, approve=lambda _: {"read": ["finance/may.csv"]})
    value = given.call("asks_for_more").value
    assert value == {
        "scope": {
            "grant": "grant_test_1_1",
            "approval": "appr_test_1_1",
            "read": ["finance/may.csv"],
            "seconds": 60.0,
            "by": "test",
        },
        "data": "1,2",
        "left": True,
    }


def test_a_denial_is_typed(tested: AgentTest) -> None:
    denied = tested.using(approve=False)
    assert denied.call("asks_and_goes_on").value == ["scope_denied", False, "It was denied by the test."]
    late = tested.using(approve=lambda _: ScopeDenied("Nobody looked.", code="scope_expired"))
    assert late.call("asks_and_goes_on").value == ["scope_expired", True, "Nobody looked."]
    # Who does not catch it ends as rejected.
    outcome = tested.using(approve=False, grant={}).run("asks_for_more")
    assert (outcome.status, type(outcome.problem)) == ("rejected", Refuse)
    with pytest.raises(ValueError, match="scope_denied, scope_expired"):
        ScopeDenied("no", code="other")


def test_scopes_that_make_no_sense_are_refused_at_once(tested: AgentTest) -> None:
    given = tested.using(approve=True)
    assert given.call("asks_blocking", what="out/**").value == ["out/**"]
    for what, says in (
        ("nothing", "asks for nothing"),
        ("seconds", "how long"),
        ("empty", "is a pattern or a list"),
        ("type", "is a pattern or a list"),
        ("a/**b", r"`\*\*` beside other"),
    ):
        with pytest.raises(InvalidArguments, match=says):
            given.call("asks_blocking", what=what)
