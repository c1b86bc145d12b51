"""`a2a init`: what it makes is an agent whose card is without weak points and whose tests pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from a2a_cloud.callers.cli import root as cli
from a2a_cloud.callers.cli.init import RESERVED, TEMPLATES, contents, suggested
from a2a_cloud.control.deploys.lint import lint
from a2a_cloud.control.registry import manifest
from a2a_cloud.model.release import SkillSpec
from a2a_cloud.wire.source import list_source

SOURCE = Path(__file__).parents[2] / "src"
COMMON = {".a2aignore", ".gitignore", "AGENTS.md", "README.md", "a2a.toml", "agent.py", "pyproject.toml"}
FILES = COMMON | {"tests/test_agent.py"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for template in TEMPLATES:
        words = ["init", f"my-{template}", "--template", template, "--folder", str(folder / template)]
        assert cli.run(words) == 0
    return folder


def files_in(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_files_are_there_and_say_what_they_should(made: Path, template: str) -> None:
    folder = made / template
    assert files_in(folder) == FILES | ({"sales.csv"} if template == "skill" else set())
    for name in files_in(folder):
        assert "{{" not in (folder / name).read_text() or name == "AGENTS.md", name
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == f"my-{template}"
    assert project["project"]["dependencies"] == []
    assert project["dependency-groups"]["dev"] == ["a2a-cloud", "pytest"]
    readme = (folder / "README.md").read_text()
    for command in ("uv run pytest", "a2a dev", "a2a deploy", f"a2a call my-{template}", "a2a logs"):
        assert command in readme
    assert f"a2a rollback my-{template}" in readme
    packed = {file.name for file in list_source(folder)}
    assert {"agent.py", "a2a.toml", "pyproject.toml"} <= packed
    assert not any(name.startswith(("tests", "AGENTS")) for name in packed)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_card_has_no_weak_points(made: Path, template: str) -> None:
    """In a process of its own, as each folder has a module `agent`."""
    program = (
        "import sys, msgspec\n"
        "from a2a_cloud.testing import AgentTest\n"
        "with AgentTest(sys.argv[1]) as agent:\n"
        "    print(msgspec.json.encode(list(agent.skills.values())).decode())\n"
    )
    done = run([sys.executable, "-c", program, str(made / template)], made)
    skills = msgspec.json.decode(done.stdout, type=list[SkillSpec])
    found = lint(manifest.read_manifest(made / template), skills, has_handler=template == "chat")
    assert found == []


@pytest.mark.parametrize("template", TEMPLATES)
def test_its_tests_pass(made: Path, template: str) -> None:
    done = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"], made / template
    )
    assert "passed" in done.stdout


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


# --- refusals -------------------------------------------------------------------------------------


def init(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run(["init", *words])
    out, err = capfd.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("name", "better"),
    [("My Agent", "my-agent"), ("1st", "st"), ("ünï", "n"), ("", "my-agent"), ("a" * 64, "a" * 63)],
)
def test_a_name_that_no_agent_can_have(
    name: str, better: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = init(capfd, name)
    assert code == 2
    assert f"such as {better}." in err
    assert list(tmp_path.iterdir()) == []


def test_names_are_checked_as_the_registry_checks_them(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert RESERVED == manifest.RESERVED
    assert suggested("Tasks") == "tasks-agent"
    code, _, err = init(capfd, "tasks")
    assert (code, "reserved" in err, "tasks-agent" in err) == (2, True, True)


def test_a_folder_that_is_not_empty_is_left_alone(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "agent.py").write_text("mine")
    code, out, err = init(capfd, "mine", "--json")
    assert code == 2
    assert json.loads(out)["error"]["detail"] == "The folder mine is not empty."
    assert "--folder" in err
    assert (tmp_path / "mine" / "agent.py").read_text() == "mine"
    (tmp_path / "file").write_text("")
    assert init(capfd, "file")[0] == 2
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert init(capfd, "link")[0] == 2
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_folder_is_taken_and_json_names_the_files(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fresh").mkdir()
    words = (
        "fresh",
        "--template",
        "chat",
        "--provider",
        "Ada {{name}}",
        "--provider-url",
        "https://ada.test/",
    )
    code, out, _ = init(capfd, *words, "--json")
    document = json.loads(out)
    assert (code, document["name"], document["template"]) == (0, "fresh", "chat")
    assert set(document["files"]) == files_in(tmp_path / "fresh") == FILES
    read = manifest.read_manifest(tmp_path / "fresh")
    assert (read.provider_name, read.provider_url) == ("Ada {{name}}", "https://ada.test/")


@pytest.mark.parametrize("words", [("--provider", 'a"b'), ("--provider-url", "nowhere"), ("--template", "x")])
def test_options_that_can_not_be_used(
    words: tuple[str, str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert init(capfd, "fine", *words)[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    code, _, err = init(capfd, "fine", "--folder", "file/fine")
    assert code == 1
    assert "can't be written" in err


def test_every_key_of_a_template_has_a_value() -> None:
    for template in TEMPLATES:
        values = dict.fromkeys(["name", "description", "call", "extra", "provider", "provider_url"], "x")
        assert set(contents(template, values)) >= FILES
