"""`a2a up`: start the platform in the foreground with the agents of some folders."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, with_options

APP = "a2a_cloud.app"


def is_agent(folder: Path) -> bool:
    """Whether `folder` has an `a2a.toml`, or a `pyproject.toml` with a table `[tool.a2a]`."""
    if (folder / "a2a.toml").is_file():
        return True
    try:
        project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    tool: Any = project.get("tool")
    return isinstance(tool, dict) and "a2a" in cast("dict[str, Any]", tool)


def find_agents(here: Path) -> list[Path]:
    """`here` when it is an agent, and those of its visible children that are."""
    found = [here] if is_agent(here) else []
    try:
        children = sorted(each for each in here.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError:
        children = []
    return found + [each for each in children if is_agent(each)]


def check_folders(folders: tuple[str, ...], data: Path | None = None) -> list[Path]:
    """The folders to serve; none where no agent is here, but `data` is a platform's, which has agents of its
    own. Raises Failure (usage) that names the first that is none, and the remedy."""
    if not folders:
        found = find_agents(Path.cwd())
        if not found and not (data is not None and (data / "journal.db").is_file()):
            raise Failure(
                Exit.USAGE,
                "No agent is here: neither this folder nor one in it has an a2a.toml.",
                remedy="Name the folder of an agent (a2a up FOLDER), or write an a2a.toml that has "
                'name = "…" and entry = "MODULE".',
            )
        return found
    checked: list[Path] = []
    for name in folders:
        folder = Path(name).expanduser()
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise Failure(Exit.USAGE, f"The folder {name} {what}.", remedy="Name the folder of an agent.")
        if not is_agent(folder):
            inside = find_agents(folder)
            near = " ".join(str(each) for each in inside[:5])
            raise Failure(
                Exit.USAGE,
                f"{name} has no a2a.toml.",
                remedy=f"In it are agents: a2a up {near}"
                if inside
                else f'Write {folder / "a2a.toml"} with name = "…" and entry = "MODULE", or name another.',
            )
        checked.append(folder)
    return checked


@click.command("up")
@with_options
@click.argument("folders", nargs=-1, metavar="[FOLDER]…")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on (A2A_PORT, 8080); 0: a free one."
)
@click.option("--host", default="", metavar="ADDRESS", help="Address to listen on (A2A_HOST, 127.0.0.1).")
@click.option("--data", default="", metavar="DIR", help="Folder for its data (A2A_DATA, ./.a2a).")
@click.option("--config", default="", metavar="FILE", help="Its settings (A2A_CONFIG, ./a2a-cloud.toml).")
@click.option(
    "--rotate-receipt-key", "new_key", is_flag=True, help="Sign receipts with a new key from now on."
)
def up_command(
    options: Options,
    folders: tuple[str, ...],
    port: int | None,
    host: str,
    data: str,
    config: str,
    new_key: bool,
) -> int:
    """Serve the agents in FOLDERs; without any, this folder's and its children's.

    Ctrl-C drains: no new work, running calls get 10 s.
    """
    agents = check_folders(folders, Path(data or os.environ.get("A2A_DATA") or ".a2a").expanduser())
    if importlib.util.find_spec(APP) is None or importlib.util.find_spec("uvicorn") is None:
        raise Failure(
            Exit.FAILED,
            "The platform is not installed here, only its command line.",
            remedy="pip install 'a2a-cloud[platform]'",
        )
    environment = dict(os.environ)
    if port is not None:
        environment["A2A_PORT"] = str(port)
    if host:
        environment["A2A_HOST"] = host
    if data:
        environment["A2A_DATA"] = data
    if config:
        environment["A2A_CONFIG"] = config
    key = ["--rotate-receipt-key"] if new_key else []
    words = [sys.executable, "-m", APP, *key, *(str(folder.absolute()) for folder in agents)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, words, environment)  # noqa: S606  # signals and exit code are then its own
