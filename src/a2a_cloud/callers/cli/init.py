"""`a2a init`: a new agent's folder from a template, with a test that passes and a README of the commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.options import Options, json_option, with_options
from a2a_cloud.callers.cli.terminal import clean_line, put_json, say

#: Ending of a template file: nothing that looks for Python, tests or projects takes it for one.
ENDING = ".tmpl"
#: Template file → file of the agent, where the two differ: packers and git overlook dot files.
NAMES = {"gitignore": ".gitignore", "a2aignore": ".a2aignore"}
#: First segments of an agent's paths, which no agent may be called.
RESERVED = frozenset(
    {"v1", "invoke", "runs", "sse", "app", "mcp", "hooks", "sessions", "tasks", "auth", "a2a-cloud"}
)

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_PROVIDER_URL = re.compile(r"https?://[^\s/\"\\]+[^\s\"\\]*")


@dataclass(frozen=True)
class Template:
    """What a template's agent does, a command that calls it, a row of the README for its own file."""

    description: str
    call: str
    extra: str = ""


TEMPLATES = {
    "skill": Template(
        "Adds up one column of a CSV file; asks which one when it is not told. Does not read spreadsheets.",
        "a2a call {name} totals table=@sales.csv column=amount",
        "| `sales.csv` | a table to try it with; the tests use it |\n",
    ),
    "chat": Template(
        "Keeps a list in a conversation: add, cross off, look. Does not share lists between conversations.",
        'a2a call {name} -m "add milk"',
    ),
    "pipeline": Template(
        "Digests a text in steps that outlast a crash: sections, lengths, frequent words. Does not rewrite.",
        "a2a call {name} digest document=@README.md top:=5",
    ),
}


def check_name(name: str) -> None:
    """Raises Failure (usage) for what can't be an agent's name, with one that can."""
    if not _NAME.fullmatch(name):
        raise Failure(
            Exit.USAGE,
            f"{name!r} can't be an agent's name.",
            remedy="Write small letters, digits, `-` and `_`, a letter first, at most 63, "
            f"such as {suggested(name)}.",
        )
    if name in RESERVED:
        raise Failure(
            Exit.USAGE,
            f"The name {name} is reserved, because addresses use it.",
            remedy=f"Take another one, such as {name}-agent.",
        )


def suggested(name: str) -> str:
    """The nearest name that an agent may have."""
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")
    slug = re.sub(r"^[^a-z]+", "", slug)[:63]
    return f"{slug}-agent" if slug in RESERVED else slug or "my-agent"


def contents(template: str, values: dict[str, str]) -> dict[str, str]:
    """Relative path → text of the agent's files, with `{{key}}` replaced by its value."""
    found: dict[str, str] = {}
    root = files("a2a_cloud.callers.cli") / "templates"
    for part in ("common", template):
        _collect(root / part, "", found)
    # In one pass, so that no value is taken for a key.
    return {
        path: re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)
        for path, text in sorted(found.items())
    }


def _collect(folder: Traversable, prefix: str, found: dict[str, str]) -> None:
    for each in folder.iterdir():
        if each.is_dir():
            _collect(each, f"{prefix}{each.name}/", found)
        elif each.name.endswith(ENDING):
            name = each.name.removesuffix(ENDING)
            found[prefix + NAMES.get(name, name)] = each.read_text("utf-8")


def write(folder: Path, texts: dict[str, str]) -> None:
    """Write the files into a folder that is new or empty. Raises Failure for any other."""
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise Failure(Exit.USAGE, f"{folder} is no folder.", remedy="Name one that does not exist yet.")
        if folder.is_dir() and any(folder.iterdir()):
            raise Failure(
                Exit.USAGE,
                f"The folder {folder} is not empty.",
                remedy="Name a folder that does not exist yet: a2a init NAME --folder FOLDER",
            )
        for path, text in texts.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
    except OSError as error:
        where = error.filename or folder
        raise Failure(Exit.FAILED, f"{where} can't be written: {error.strerror}.") from None


@click.command("init")
@json_option
@with_options
@click.argument("name", metavar="NAME")
@click.option(
    "--template",
    type=click.Choice(list(TEMPLATES)),
    default="skill",
    show_default=True,
    help="What the agent is: a typed skill, a conversation, or steps that outlast a crash.",
)
@click.option("--folder", default="", metavar="DIR", help="Where to make it; NAME when it is not given.")
@click.option("--provider", default="", metavar="TEXT", help="Who offers it; NAME when it is not given.")
@click.option(
    "--provider-url",
    default="https://example.com",
    show_default=True,
    metavar="URL",
    help="Their address, shown on the agent's card.",
)
def init_command(
    options: Options, name: str, template: str, folder: str, provider: str, provider_url: str
) -> int:
    """Make the folder of a new agent, with a test that passes.

    An existing folder is only taken when it is empty. Nothing is sent anywhere.
    """
    check_name(name)
    provider = provider.strip() or name
    if re.search(r'["\\\x00-\x1f\x7f]', provider):
        raise Failure(Exit.USAGE, "The provider's name has quotes or control characters.")
    if not _PROVIDER_URL.fullmatch(provider_url):
        raise Failure(
            Exit.USAGE,
            f"{provider_url!r} is no address.",
            remedy="Write one such as https://example.com.",
        )
    chosen = TEMPLATES[template]
    texts = contents(
        template,
        {
            "name": name,
            "description": chosen.description,
            "call": chosen.call.format(name=name),
            "extra": chosen.extra,
            "provider": provider,
            "provider_url": provider_url,
        },
    )
    where = Path(folder or name).expanduser()
    write(where, texts)
    if options.json:
        put_json({"name": name, "template": template, "folder": str(where.absolute()), "files": list(texts)})
        return int(Exit.OK)
    say(f"{clean_line(name)} is in {clean_line(where)}: {', '.join(texts)}")
    say()
    say(f"  cd {clean_line(where)}")
    say("  uv run pytest      its tests")
    say("  a2a dev            serve it here, and reload it on each save")
    say("  a2a deploy         make a release")
    return int(Exit.OK)
