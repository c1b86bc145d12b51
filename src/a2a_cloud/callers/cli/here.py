"""Which agent a command means: by name, by its folder, or the folder that one stands in."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, cast

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.up import find_agents, is_agent


def agent_folder(path: str) -> Path:
    """The folder of an agent. Raises Failure (usage) with what to write."""
    folder = Path(path or ".").expanduser()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise Failure(
            Exit.USAGE, f"The folder {path} {what}.", remedy="Name the folder that holds the a2a.toml."
        )
    if is_agent(folder):
        return folder
    inside = find_agents(folder)
    raise Failure(
        Exit.USAGE,
        f"{'This folder' if path in ('', '.') else path} has no a2a.toml.",
        remedy=f"In it are agents: {', '.join(str(each) for each in inside[:5])}"
        if inside
        else "Name the folder of an agent, or make one: a2a init NAME",
    )


def name_in(folder: Path) -> str:
    """The agent's name as its a2a.toml (or `[tool.a2a]`) gives it. Only that: the platform checks the rest.

    Raises Failure (usage).
    """
    file = folder / "a2a.toml"
    own = file.is_file()
    if not own:
        file = folder / "pyproject.toml"
    try:
        table: Any = tomllib.loads(file.read_text("utf-8"))
        if not own:
            table = table["tool"]["a2a"]
        name: Any = cast("dict[str, Any]", table).get("name") if isinstance(table, dict) else None
    except tomllib.TOMLDecodeError as error:
        raise Failure(Exit.USAGE, f"{file} is not valid TOML: {error}.", remedy="Mend that line.") from None
    except UnicodeDecodeError:
        raise Failure(Exit.USAGE, f"{file} is not UTF-8 text.", remedy="Save it as UTF-8.") from None
    except OSError as error:
        raise Failure(
            Exit.USAGE, f"{file} can't be read: {error.strerror}.", remedy="Look at its mode and owner."
        ) from None
    except (KeyError, TypeError):
        name = None
    if not isinstance(name, str) or not name:
        raise Failure(Exit.USAGE, f"{file} gives the agent no name.", remedy='Write name = "…" in it.')
    return name


def agent_named(word: str) -> str:
    """`word` when it names an agent; for a path (or nothing) the name of the agent in that folder.

    Raises Failure (usage) where none is.
    """
    if word and word != "." and "/" not in word:
        return word
    if not word and not is_agent(Path.cwd()):
        raise Failure(
            Exit.USAGE,
            "No agent is named, and this folder is none.",
            remedy="Name it, or go into its folder. The agents that serve: a2a ls",
        )
    return name_in(agent_folder(word))


def agent_and(words: tuple[str, ...], wanted: int, usage: str) -> tuple[str, list[int]]:
    """The agent, and exactly `wanted` release numbers, from `[AGENT] R…`. Raises Failure (usage)."""
    rest = list(words)
    named = rest.pop(0) if rest and not rest[0].isdigit() else ""
    if len(rest) != wanted:
        few = "are missing" if len(rest) < wanted else "are too many"
        raise Failure(Exit.USAGE, f"Release numbers {few}.", remedy=f"Write: {usage}")
    return agent_named(named), [release_number(each) for each in rest]


def release_number(word: str) -> int:
    """A release's number. Raises Failure (usage)."""
    if not (word.isascii() and word.isdigit() and 0 < len(word) <= 9 and int(word)):
        raise Failure(
            Exit.USAGE, f"{word!r} is not the number of a release.", remedy="The numbers: a2a releases AGENT"
        )
    return int(word)
