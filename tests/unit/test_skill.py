"""Declaring, collecting and loading skills; binding and dumping; the kit on its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import msgspec
import pytest

from a2a_cloud.agent.declaration import Declaration
from a2a_cloud.agent.files import File
from a2a_cloud.agent.options import Options
from a2a_cloud.agent.problem import BadDeclaration, BadResult, InvalidArguments, Problem, Refuse
from a2a_cloud.agent.skill import Agent, find_entry, load, skill
from a2a_cloud.model.release import SkillSpec

SRC = Path(__file__).parents[2] / "src"


def module(**members: Any) -> ModuleType:
    out = ModuleType("agent_under_test")
    vars(out).update(members)
    return out


def declared(function: Callable[..., Any]) -> Declaration:
    """The declaration of one function under @skill."""
    (one,) = load(module(f=function)).skills.values()
    return one


# -- declaring


def test_bare_and_with_options() -> None:
    @skill
    def one(text: str) -> str:
        """Do one thing."""
        return text

    @skill(
        id="second",
        name="The second",
        description="Said here.",
        tags=["a"],
        examples=["do it"],
        input_modes=["text/plain"],
        output_modes=["application/json"],
        timeout=3,
        retries=2,
        idempotent=True,
        durable=True,
        concurrency=4,
    )
    async def two(n: int = 1) -> None: ...

    assert one("x") == "x"
    skills = load(module(one=one, two=two)).skills
    assert list(skills) == ["one", "second"]
    spec = msgspec.json.decode(msgspec.json.encode(skills["second"].spec()), type=SkillSpec)
    assert (spec.id, spec.name, spec.description, spec.tags) == ("second", "The second", "Said here.", ["a"])
    assert (spec.timeout, spec.retries, spec.idempotent, spec.durable) == (3.0, 2, True, True)
    assert (spec.replayable, spec.concurrency, spec.streams) == (True, 4, False)
    assert (spec.input_modes, spec.output_modes) == (["text/plain"], ["application/json"])
    assert skills["second"].is_async
    first = skills["one"].spec()
    assert (first["name"], first["description"], first["text_param"]) == ("One", "Do one thing.", "text")
    assert set(first) == {field.name for field in msgspec.structs.fields(SkillSpec)}
    assert not skills["one"].is_async


@pytest.mark.parametrize(
    ("options", "write"),
    [
        ({"id": "a b"}, 'id="review"'),
        ({"id": ""}, 'id="review"'),
        ({"name": " "}, 'name="…"'),
        ({"description": 3}, 'description="…"'),
        ({"tags": "legal"}, 'tags=["…"]'),
        ({"examples": [3]}, 'examples=["…"]'),
        ({"input_modes": ["text"]}, 'input_modes=["text/plain"]'),
        ({"output_modes": "text/plain"}, 'output_modes=["text/plain"]'),
        ({"timeout": 0}, "timeout=30"),
        ({"timeout": float("nan")}, "timeout=30"),
        ({"timeout": True}, "timeout=30"),
        ({"timeout": "3"}, "timeout=30"),
        ({"retries": -1}, "retries=3"),
        ({"retries": 1.5}, "retries=3"),
        ({"concurrency": 0}, "concurrency=3"),
        ({"idempotent": 1}, "idempotent=True"),
        ({"durable": "yes"}, "durable=True"),
        ({"replayable": "no"}, "replayable=True"),
        ({"durable": True, "replayable": False}, "Leave one of the two out"),
        ({"timout": 3}, "Write timeout."),
    ],
)
def test_bad_options_say_what_to_write(options: dict[str, Any], write: str) -> None:
    with pytest.raises(BadDeclaration) as caught:
        skill(**options)
    assert write in caught.value.remedy


def test_what_can_not_be_a_skill() -> None:
    def star(*args: int) -> None: ...
    def stars(**kwargs: int) -> None: ...
    def slash(a: int, /) -> None: ...

    class Holder:
        def method(self) -> None: ...

    for function, word in (
        (star, r"\*args"),
        (stars, r"\*\*kwargs"),
        (slash, "positional-only"),
        (Holder.method, "method"),
        (Holder, "functions"),
        (3, "functions"),
    ):
        with pytest.raises(BadDeclaration, match=word) as caught:
            skill(function)  # type: ignore[type-var]
        assert caught.value.remedy


def test_types_that_have_no_json_form() -> None:
    def path(p: Path) -> None: ...
    def returns() -> complex: ...
    def nested(files: dict[str, File]) -> None: ...
    def unknown(x: Absent) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def liar() -> str:
        yield "x"

    async def hidden() -> AsyncIterator[str]: ...

    for function, word in (
        (path, "`p` of the skill `path`"),
        (returns, "`returns` returns what can't be sent"),
        (nested, "parameter of its own"),
        (unknown, "Absent"),
        (liar, r"-> Iterator\[str\]"),
        (hidden, "async generator"),
    ):
        with pytest.raises(BadDeclaration, match=word):
            declared(skill(function))


# -- collecting


def test_an_agent_and_its_module() -> None:
    agent = Agent("a")

    @skill
    def one() -> None: ...

    @agent.skill
    def two() -> None: ...

    @agent.skill(id="drei")
    def three() -> None: ...

    @agent.message
    def talk(ctx, text: str):  # type: ignore[no-untyped-def]
        """Talk."""

    found = load(module(one=one, two=two, agent=agent, again=one))
    assert list(found.skills) == ["one", "two", "drei"]
    assert found.message is not None
    assert found.message.bind_text("hi", {}, 7) == ((7, "hi"), {})
    assert list(load(agent).skills) == ["two", "drei"]


def test_collecting_refuses() -> None:
    @skill
    def one() -> None: ...

    @skill(id="one")
    def two() -> None: ...

    agent = Agent()

    @agent.message
    def talk() -> str: ...

    with pytest.raises(BadDeclaration, match="Two skills have the id `one`"):
        load(module(one=one, two=two))
    with pytest.raises(BadDeclaration, match="no skill"):
        load(module())
    with pytest.raises(BadDeclaration, match="2 agents"):
        load(module(a=Agent(), b=Agent()))
    with pytest.raises(BadDeclaration, match="two message handlers"):
        agent.message(lambda text: text)
    assert load(agent).message is not None
    needy = Agent()

    @needy.message
    def wants(text: str, n: int) -> str: ...

    with pytest.raises(BadDeclaration, match="needs `n`"):
        load(needy)


def test_the_context_is_found() -> None:
    class Context:
        pass

    Context.__module__, Context.__qualname__ = "a2a_cloud.agent.context", "Context"

    def by_name(ctx, n: int): ...  # type: ignore[no-untyped-def]
    def by_type(n: int, c: Context) -> None: ...
    def optional(n: int, *, c: Context | None = None) -> None: ...
    def other(ctx: int) -> None: ...
    def second(n: int, ctx: Any) -> None: ...

    for function, name, bound in (
        (by_name, "ctx", (("C", 1), {})),
        (by_type, "c", ((1, "C"), {})),
        (optional, "c", ((1,), {"c": "C"})),
    ):
        one = declared(skill(function))
        assert (one.wants_context, one.context_param) == (True, name)
        assert one.bind(b'{"n":1}', {}, "C") == bound
    assert declared(skill(other)).bind(b'{"ctx":1}', {}, "C") == ((1,), {})
    assert not declared(skill(second)).wants_context


def test_the_kits_own_context_is_found() -> None:
    pytest.importorskip("a2a_cloud.agent.context")
    import a2a_cloud

    def typed(context: Context, n: int) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert a2a_cloud.Context.__name__ == "Context"
    assert declared(skill(typed)).context_param == "context"


def test_the_ways_of_a_function() -> None:
    def gen() -> Iterator[str]:
        yield "a"

    async def agen() -> AsyncIterator[int]:
        yield 1

    def bare():  # type: ignore[no-untyped-def]
        yield "a"

    def passes_on() -> Iterator[str]:
        return gen()

    def ways(function: Any) -> tuple[bool, bool, bool]:
        one = declared(skill(function))
        assert one.spec()["streams"] is one.is_generator
        return one.is_async, one.is_generator, one.yields_text

    assert ways(gen) == (False, True, True)
    assert ways(agen) == (True, True, False)
    assert ways(bare) == (False, True, True)
    assert ways(passes_on) == (False, True, True)
    numbers = declared(skill(agen))
    assert numbers.output_schema == {"type": "array", "items": {"type": "integer"}}
    assert numbers.dump([1, 2]) == b"[1,2]"
    assert numbers.dump_item(3) == b"3"
    with pytest.raises(BadResult):
        numbers.dump_item("x")
    assert declared(skill(gen)).dump("whole") == b'"whole"'


# -- text and files


def test_the_text_parameter() -> None:
    def none(n: int) -> None: ...
    def required(a: str, b: str = "") -> None: ...
    def optional(n: int, a: str | None = None) -> None: ...
    def two(a: str, b: str) -> None: ...
    def described(a: Annotated[str, "x"], b: bytes) -> None: ...

    wanted = {none: "", required: "a", optional: "a", two: "", described: "a"}
    assert {f: declared(skill(f)).text_param for f in wanted} == wanted
    with pytest.raises(InvalidArguments, match="missing"):
        declared(skill(none)).bind_text("hello")


def test_files() -> None:
    @skill
    def review(
        contract: Annotated[File, "text/*", "application/pdf", "The contract."],
        annexes: list[File] | None = None,
        more: tuple[File, ...] = (),
        *,
        strict: bool = False,
    ) -> None:
        """Review.

        Args:
            annexes: What is attached.
        """

    one = declared(review)
    assert one.spec()["files"] == [
        {
            "name": "contract",
            "required": True,
            "many": False,
            "media_types": ["text/*", "application/pdf"],
            "description": "The contract.",
        },
        {
            "name": "annexes",
            "required": False,
            "many": True,
            "media_types": [],
            "description": "What is attached.",
        },
        {"name": "more", "required": False, "many": True, "media_types": [], "description": ""},
    ]
    assert list(one.input_schema["properties"]) == ["strict"]
    text = File.from_bytes("a.md", b"x", "text/markdown; charset=utf-8")
    image = File.from_bytes("a.png", b"x", "image/png")
    unknown = File.from_bytes("a", b"x")
    assert one.bind(b"", {"contract": text}) == ((text, None, ()), {"strict": False})
    assert one.bind(b'{"strict":true}', {"contract": [unknown], "annexes": text, "more": [text, image]}) == (
        (unknown, [text], (text, image)),
        {"strict": True},
    )
    for arguments, files, word in (
        (b"{}", {}, "file `contract` .* is missing"),
        (b"{}", {"contract": image}, r"takes text/\*, application/pdf, and `a.png` is image/png"),
        (b"{}", {"contract": [text, text]}, "takes one file, and 2 came"),
        (b"{}", {"contract": text, "annex": text}, "Did you mean `annexes`"),
        (b'{"contract":"x"}', {"contract": text}, "is a file"),
    ):
        with pytest.raises(InvalidArguments, match=word):
            one.bind(arguments, files)  # type: ignore[arg-type]


def test_a_skill_without_files_takes_none() -> None:
    @skill
    def plain() -> None: ...

    with pytest.raises(InvalidArguments, match="takes no file `x`"):
        declared(plain).bind(b"", {"x": File.from_bytes("x", b"")})


# -- misfits


@dataclasses.dataclass
class Address:
    street: str
    number: int = 1


def test_each_misfit_has_its_sentence() -> None:
    @skill
    def f(text: str, place: Address | None = None, sizes: list[int] = [1]) -> None:  # noqa: B006
        """F."""

    one = declared(f)
    for arguments, argument, word in (
        (b'{"txt":"a"}', "txt", "Did you mean `text`"),
        (b'{"text":"a","zzz":1}', "zzz", "It takes `text`, `place`, `sizes`"),
        (b"{}", "text", "argument `text` of the skill `f` is missing"),
        (b'{"text":1}', "text", "expected `str`, got `int`"),
        (b'{"text":"","sizes":[1,"2"]}', r"sizes[1]", "expected `int`, got `str`"),
        (b'{"text":"","place":{"number":1}}', "place.street", "missing"),
        (b'{"text":"","place":{"street":"a","number":"1"}}', "place.number", "expected `int`"),
        (b"[]", "", "must be a JSON object, not array"),
        (b"nonsense", "", "not valid JSON"),
        (b'{"text":"\xff"}', "", "not valid JSON"),
        (b'{"text":' + b"[" * 200_000, "text", "expected `str`, got `array`"),
    ):
        with pytest.raises(InvalidArguments, match=word) as caught:
            one.bind(arguments)
        assert caught.value.info.get("argument", "") == argument
        assert len(caught.value.sentence) < 2000
    assert one.bind(b'{"text":"a"}') == (("a", None, [1]), {})


def test_a_default_is_not_shared_between_calls() -> None:
    @skill
    def f(names: list[str] = ["x"]) -> None:  # noqa: B006
        names.append("y")

    one = declared(f)
    for _ in range(2):
        args, kwargs = one.bind(b"")
        assert args == (["x"],)
        f(*args, **kwargs)


def test_deep_nesting_is_a_misfit() -> None:
    @skill
    def f(value: Any) -> None: ...

    with pytest.raises(InvalidArguments, match="nested too deeply"):
        declared(f).bind(b'{"value":' + b"[" * 200_000)


def test_results_are_checked() -> None:
    def text() -> str: ...
    def number() -> float: ...
    def nothing() -> None: ...
    def place() -> Address: ...
    def anything(): ...  # type: ignore[no-untyped-def]

    for function, value, data in (
        (text, "a", b'"a"'),
        (number, 1, b"1"),
        (nothing, None, b"null"),
        (place, Address("a"), b'{"street":"a","number":1}'),
        (place, {"street": "a"}, b'{"street":"a"}'),
        (anything, {"a": {3, 1, 2}}, b'{"a":[1,2,3]}'),
    ):
        assert declared(skill(function)).dump(value) == data
    for function, value in (
        (text, 1),
        (text, None),
        (number, float("nan")),
        (number, True),
        (nothing, 3),
        (place, Address(1)),  # type: ignore[arg-type]
        (place, {}),
        (anything, Path("x")),
        (anything, object()),
    ):
        with pytest.raises(BadResult, match=f"result of the skill `{function.__name__}`"):
            declared(skill(function)).dump(value)


def test_a_circle_is_a_bad_result() -> None:
    @skill
    def f() -> Any: ...

    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(BadResult):
        declared(f).dump(circle)


def test_problems() -> None:
    problem = Problem("No text.", code="empty", retry=True, remedy="Send some.", info={"a": "b"})
    assert (str(problem), problem.code, problem.retry, problem.info) == (
        "No text. Send some.",
        "empty",
        True,
        {"a": "b"},
    )
    assert Problem("x").code == "skill_failed"
    assert Refuse("No.").code == "refused"
    assert isinstance(Refuse("No."), Problem)


# -- entries


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


SOURCE = """
from __future__ import annotations
from a2a_cloud import Agent, skill
from beside import WORD

agent = Agent()

@skill
def say(text: str) -> str:
    return WORD + text

@agent.skill
def shout(text: str) -> str:
    return text.upper()
"""


@pytest.mark.parametrize(
    ("entry", "skills"),
    [
        ("speaker.py", ["say", "shout"]),
        ("speaker", ["say", "shout"]),
        ("speaker:agent", ["shout"]),
        ("speaker.py:agent", ["shout"]),
        ("sub/types.py", ["say", "shout"]),
        ("sub/pack/inner.py", ["say"]),
    ],
)
def test_entries(folder: Path, entry: str, skills: list[str]) -> None:
    (folder / "beside.py").write_text("WORD = 'hi '")
    (folder / "speaker.py").write_text(SOURCE)
    (folder / "sub" / "pack").mkdir(parents=True)
    (folder / "sub" / "types.py").write_text(SOURCE)  # named as a module of the standard library
    (folder / "sub" / "pack" / "__init__.py").write_text("")
    (folder / "sub" / "pack" / "other.py").write_text("WORD = 'hi '")
    (folder / "sub" / "pack" / "inner.py").write_text(
        "from a2a_cloud import skill\nfrom .other import WORD\n@skill\ndef say(text: str) -> str: return WORD"
    )
    found = find_entry(entry, folder)
    assert list(load(found).skills) == skills
    assert find_entry(entry, folder) is found


@pytest.mark.parametrize("entry", ["agent", "agent.py", "agent:agent"])
def test_two_agents_whose_modules_have_one_name(tmp_path: Path, entry: str) -> None:
    text = "from a2a_cloud import Agent\nagent = Agent()\n@agent.skill\ndef {}(text: str) -> str: return ''\n"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "agent.py").write_text(text.format(name))
    found = [list(load(find_entry(entry, tmp_path / name)).skills) for name in ("one", "two", "one")]
    assert found == [["one"], ["two"], ["one"]]


def test_entries_that_are_not_there(folder: Path) -> None:
    (folder / "speaker.py").write_text("import absent_thing")
    (folder / "plain.py").write_text("x = 3")
    for entry in ("absent.py", "absent", "plain.py:y", "plain.py:x", "../plain.py"):
        with pytest.raises(BadDeclaration):
            find_entry(entry, folder)
    with pytest.raises(ModuleNotFoundError, match="absent_thing"):
        find_entry("speaker", folder)
    with pytest.raises(ModuleNotFoundError, match="absent_thing"):
        find_entry("speaker.py", folder)
    assert "speaker" not in sys.modules


def test_types_of_the_enclosing_function_are_found() -> None:
    @dataclasses.dataclass
    class Local:
        n: int

    @skill(id="x")
    def f(value: Local) -> Local: ...

    one = declared(f)
    assert one.bind(b'{"value":{"n":1}}') == ((Local(1),), {})
    assert Declaration(f, Options(), {"Local": Local}).id == "f"


# -- the kit alone


def test_the_kit_needs_msgspec_alone(tmp_path: Path) -> None:
    """In an interpreter that has the standard library, msgspec and our source, and nothing else."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    (tmp_path / "agent.py").write_text(
        textwrap.dedent(
            """
            from __future__ import annotations
            from typing import Annotated
            from a2a_cloud import Agent, File, Problem, Refuse, skill

            @skill
            def greet(name: Annotated[str, "Whom."], paper: File | None = None) -> dict[str, str]:
                "Greet."
                return {"said": "hi " + name}
            """
        )
    )
    program = textwrap.dedent(
        f"""
        import sys
        sys.path = [p for p in sys.path if "site-packages" not in p]
        sys.path[:0] = [{str(SRC)!r}, {str(tmp_path / "site")!r}]

        class Wall:
            "Refuses everything that is neither the standard library, msgspec, the agent nor the kit."
            def find_spec(self, name, path=None, target=None):
                top = name.partition(".")[0]
                if top in sys.stdlib_module_names or top in ("msgspec", "agent"):
                    return None
                parts = name.split(".")
                if parts[0] == "a2a_cloud" and parts[1:2] in ([], ["agent"], ["wire"]):
                    return None
                raise ModuleNotFoundError(f"blocked: {{name}}", name=name)

        sys.meta_path.insert(0, Wall())
        import a2a_cloud
        assert "msgspec" not in sys.modules, "the package is lazy"
        assert a2a_cloud.__version__
        from a2a_cloud.agent.skill import find_entry, load
        one = load(find_entry("agent.py", {str(tmp_path)!r})).skills["greet"]
        args, kwargs = one.bind(b'{{"name": "you"}}', {{}}, None)
        sys.stdout.write(one.dump(one.function(*args, **kwargs)).decode())
        ours = sorted(name for name in sys.modules if name.startswith("a2a_cloud."))
        assert all(n.startswith(("a2a_cloud.agent", "a2a_cloud.wire")) for n in ours), ours
        """
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"said": "hi you"}


def test_names_of_the_package() -> None:
    import a2a_cloud

    assert set(a2a_cloud.__all__) <= set(dir(a2a_cloud))
    assert a2a_cloud.skill is skill
    assert a2a_cloud.File is File
    with pytest.raises(AttributeError, match="nothing_here"):
        a2a_cloud.nothing_here  # noqa: B018
