"""What an agent's folder says about dependencies: what is read, what is refused and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from a2a_cloud.model.problem import BuildFailed
from a2a_cloud.runtime.build.inputs import MAX_FILE, read_inputs
from a2a_cloud.runtime.build.lock import Pin, parse_lock, read_pylock, render_lock
from a2a_cloud.runtime.build.requirements import parse_file, parse_requirements
from a2a_cloud.runtime.build.versions import fits

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        path = tmp_path / {"requirements": "requirements.txt", "pyproject": "pyproject.toml"}.get(name, name)
        path.write_text(text)
    return tmp_path


def refused(path: Path) -> BuildFailed:
    with pytest.raises(BuildFailed) as caught:
        read_inputs(path, "3.11.7")
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("version", "specifier", "good"),
    [
        ("3.11.7", ">=3.11", True),
        ("3.11.7", ">=3.11,<3.12", True),
        ("3.11.7", ">=3.12", False),
        ("3.11.7", "==3.11.*", True),
        ("3.11.7", "!=3.11.*", False),
        ("3.11.7", "!=3.11.6", True),
        ("3.11.7", "~=3.9", True),
        ("3.11.7", "~=3.11.8", False),
        ("3.11.0", "==3.11", True),
        ("3.11.7", ">3.11", True),
        ("3.11.7", "<=3.11", False),
        ("3.11.7", ">=3.12.0rc1", False),
        ("3.11.7", "", True),
        ("0.22.0", ">=0.20,<1", True),
        ("1.0", ">=0.20,<1", False),
        ("0.9.9", ">=0.20,<1", False),
    ],
)
def test_versions(version: str, specifier: str, good: bool) -> None:
    assert fits(version, specifier) is good


@pytest.mark.parametrize("specifier", ["^3.11", "3.11", ">=3.x", "~=3", ">=3.*"])
def test_specifiers_that_are_none(specifier: str) -> None:
    with pytest.raises(ValueError, match=r"specifier|second number"):
        fits("3.11.7", specifier)


def test_an_empty_folder_asks_for_the_kit_alone(tmp_path: Path) -> None:
    found = read_inputs(tmp_path, "3.11.7")
    assert (found.source, found.requirements, found.pins) == ("", (), None)


def test_requirements_with_comments_continuations_and_a_bom(tmp_path: Path) -> None:
    text = "\ufeff# a comment \\\nsix >= 1.16 , \\\n  <2  # why\n\nRich[extra] ; python_version > '3'\n"
    text += "--prefer-binary\n"
    found = read_inputs(folder(tmp_path, requirements=text), "3.11.7")
    assert found.source == "requirements.txt"
    assert found.requirements == ("six >= 1.16 , <2", "Rich[extra] ; python_version > '3'")


def test_included_files_and_constraints(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "base.txt").write_text("-r ../requirements.txt\n")
    folder(tmp_path, requirements="-r deep/more.txt\n-c limits.txt\nsix\n", **{"limits.txt": "six<2\n"})
    (tmp_path / "deep" / "more.txt").write_text("--requirement=other.txt\nattrs\n")
    (tmp_path / "deep" / "other.txt").write_text("rich\n")
    found = read_inputs(tmp_path, "3.11.7")
    assert sorted(found.requirements) == ["attrs", "rich", "six"]
    assert found.constraints == ("six<2",)


def test_an_included_file_that_is_missing(tmp_path: Path) -> None:
    problem = refused(folder(tmp_path, requirements="six\n-r base.txt\n"))
    assert "requirements.txt:2" in problem.detail
    assert "base.txt" in problem.detail


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-e .", "editable"),
        ("--editable=./x", "editable"),
        ("./local", "folder"),
        ("../six", "folder"),
        ("/tmp/x.whl", "file"),
        ("six-1.0-py3-none-any.whl", "file"),
        ("git+https://example.com/x.git", "repository"),
        ("six @ https://example.com/six.whl", "URL"),
        ("six @ file:///etc/passwd", "URL"),
        ("six@x", "URL"),
        ("https://example.com/six.tar.gz", "URL"),
        ("--index-url https://example.com", "index"),
        ("-i https://example.com", "index"),
        ("-fhttps://example.com", "index"),
        ("--extra-index-url=https://example.com", "index"),
        ("--pre", "not taken"),
        ("-r /etc/passwd", "not in the agent's folder"),
        ("-r ../other.txt", "not in the agent's folder"),
        ("-r https://example.com/r.txt", "not in the agent's folder"),
        ("six==${SECRET}", "variable"),
        ("six==1 --hash=md5:abc", "option"),
        ("six==1 --global-option=x", "option"),
        ("six 1.0", "not a requirement"),
        ("=1", "not a requirement"),
        ("x" * 3000, "too long"),
        ("six\x00", "control"),
    ],
)
def test_what_a_requirements_file_may_not_say(tmp_path: Path, line: str, words: str) -> None:
    problem = refused(folder(tmp_path, requirements=f"attrs\n{line}\n"))
    assert "requirements.txt:2" in problem.detail
    assert words in problem.detail


def test_fixed_with_hashes_is_used_as_given(tmp_path: Path) -> None:
    text = f"Six==1.17.0 \\\n    --hash={B} \\\n    --hash {A}\na2a-cloud>=0.1\n"
    text += f"x[b,a]==1 ; os_name == 'nt' --hash={A}\n"
    found = read_inputs(folder(tmp_path, requirements=text), "3.11.7")
    assert found.pins == (
        Pin("six", "1.17.0", "", "", (A, B)),
        Pin("x", "1", "[a,b]", "os_name == 'nt'", (A,)),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"six==1 --hash={A}\nattrs==2\n", "`attrs==2` has no hash"),
        (f"six>=1 --hash={A}\n", "no fixed version"),
        (f"six==1.* --hash={A}\n", "no fixed version"),
    ],
)
def test_hashes_are_for_all_or_for_none(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(folder(tmp_path, requirements=text)).detail


def test_the_project_table(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\nrequires-python = ">=3.10"\ndependencies = ["six  >=1", "a2a-cloud"]\n'
    found = read_inputs(folder(tmp_path, pyproject=text), "3.11.7")
    assert (found.source, found.requirements) == ("pyproject.toml", ("six >=1", "a2a-cloud"))


def test_requirements_go_before_the_project_and_it_is_said(tmp_path: Path) -> None:
    found = read_inputs(
        folder(tmp_path, requirements="six\n", pyproject='[project]\ndependencies = ["rich"]\n'), "3.11.7"
    )
    assert found.requirements == ("six",)
    assert "pyproject.toml" in found.notes[0]


def test_what_other_tools_read_is_named(tmp_path: Path) -> None:
    found = read_inputs(folder(tmp_path, Pipfile="", pyproject="[tool.ruff]\n"), "3.11.7")
    assert "Pipfile is not read" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[project\n", "not valid TOML"),
        ('[project]\nrequires-python = ">=3.12"\n', "wants Python >=3.12"),
        ('[project]\nrequires-python = "^3.11"\n', "can't be read"),
        ("[project]\nrequires-python = 3\n", "wants Python 3"),
        ('[project]\ndynamic = ["dependencies"]\n', "dynamic"),
        ('[project]\ndependencies = "six"\n', "not a list"),
        ("[project]\ndependencies = [1]\n", "not a list"),
        ('[project]\ndependencies = ["x @ git+https://example.com/x"]\n', "URL"),
        ('[project]\ndependencies = ["six==${SECRET}"]\n', "variable"),
        ('[project]\ndependencies = ["six\\n--index-url https://example.com"]\n', "URL"),
        ('project = "x"\n', "not a table"),
        ('[tool.poetry.dependencies]\nsix = "^1"\n', "poetry"),
        ("a = " + "[" * 5000 + "\n", "TOML"),
    ],
)
def test_what_a_project_may_not_say(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(folder(tmp_path, pyproject=text)).detail


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"six\xff\n")
    assert "not UTF-8" in refused(tmp_path).detail
    (tmp_path / "requirements.txt").write_bytes(b"#" * (MAX_FILE + 1))
    assert "larger than" in refused(tmp_path).detail
    (tmp_path / "requirements.txt").unlink()
    (tmp_path / "requirements.txt").mkdir()
    assert "requirements.txt" in refused(tmp_path).detail
    (tmp_path / "requirements.txt").rmdir()
    (tmp_path / "secret").write_text("six")
    (tmp_path / "requirements.txt").symlink_to("secret")
    assert "can't be read" in refused(tmp_path).detail


UV_LOCK = """\
version = 1
requires-python = ">=3.10"

[[package]]
name = "six"
version = "1.17.0"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "my-agent"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "six" }]

[package.metadata]
requires-dist = [
    { name = "six", specifier = ">=1.16,<2" },
    { name = "rich", marker = "extra == 'more'" },
]
"""


def project(*dependencies: str, name: str = "My_Agent") -> str:
    listed = ", ".join(f'"{one}"' for one in dependencies)
    return f'[project]\nname = "{name}"\nversion = "0"\ndependencies = [{listed}]\n'


def test_a_lock_of_uv(tmp_path: Path) -> None:
    found = read_inputs(
        folder(tmp_path, pyproject=project("Six <2, >= 1.16"), **{"uv.lock": UV_LOCK}), "3.11.7"
    )
    assert (found.source, found.project, found.uv_lock) == ("uv.lock", "my-agent", UV_LOCK.encode())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (project("six>=1.16,<2", "attrs"), "`attrs` is not in it"),
        (project(), "`six` is no dependency any more"),
        (project("six>=1.17"), "`six>=1.17` was `six>=1.16,<2`"),
        (project("six>=1.16,<2", name="other"), "another project, not `other`"),
        ("", "no pyproject.toml with the project's name"),
    ],
)
def test_a_lock_that_is_out_of_date(tmp_path: Path, text: str, words: str) -> None:
    problem = refused(folder(tmp_path, pyproject=text, **{"uv.lock": UV_LOCK}))
    assert words in problem.detail


def test_a_lock_for_another_python(tmp_path: Path) -> None:
    lock = UV_LOCK.replace(">=3.10", ">=3.13")
    assert "uv.lock" in refused(folder(tmp_path, pyproject=project(), **{"uv.lock": lock})).detail


def test_a_lock_has_one_form() -> None:
    text = f"b==2 --hash={B} --hash={A}\n# comment\nA_x==1 ; os_name=='nt' --hash={A}\n"
    pins = parse_lock(text, "x")
    whole = render_lock(pins)
    assert whole.decode() == (
        f"a-x==1 ; os_name=='nt' \\\n    --hash={A}\nb==2 \\\n    --hash={A} \\\n    --hash={B}\n"
    )
    assert parse_lock(whole.decode(), "y") == pins
    assert render_lock(reversed(pins)) == whole
    assert render_lock(()) == b""


@pytest.mark.parametrize(
    "text", ["six\n", "six==1\n", "-e ./x\n", "-r other.txt\n", "x @ git+https://e.com/x\n"]
)
def test_what_is_no_lock(text: str) -> None:
    with pytest.raises(BuildFailed):
        parse_lock(text, "x")


def test_a_pylock_without_a_wheel_or_hash() -> None:
    good = f'[[packages]]\nname = "Six"\nversion = "1"\nwheels = [{{hashes = {{sha256 = "{"a" * 64}"}}}}]\n'
    assert read_pylock(good) == (Pin("six", "1", "", "", (A,)),)
    for bad in (
        'wheels = [{ url = "x" }]',
        'directory = { path = "x" }',
        f'sdist = {{hashes = {{sha256 = "{A}"}}}}',
    ):
        with pytest.raises(BuildFailed, match="no wheel"):
            read_pylock(f'[[packages]]\nname = "six"\nversion = "1"\n{bad}\n')


def test_line_numbers_are_those_of_the_first_line() -> None:
    found = parse_requirements("\n\na \\\n  ==1\n# x\nb\\\n", "f")
    assert [(one.text, one.where) for one in found] == [("a ==1", "f:3"), ("b", "f:6")]


def test_too_many_lines() -> None:
    with pytest.raises(BuildFailed, match="more than"):
        parse_file("a\n" * 6000, "f")
