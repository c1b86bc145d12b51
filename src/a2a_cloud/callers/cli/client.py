"""`a2a client`: a typed client of an agent, written by a public generator from the agent's OpenAPI.

Python: openapi-python-client, run by uv. TypeScript: openapi-typescript for the types and openapi-fetch to
call with them, run by npx. Both are pinned, so that the same agent gives the same client.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.here import agent_named
from a2a_cloud.callers.cli.names import agent_names
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import Progress, clean_line, put, put_json, say
from a2a_cloud.client.http import agent_path

PYTHON_GENERATOR = "openapi-python-client==0.29.1"
TYPESCRIPT_GENERATOR = "openapi-typescript@7.13.0"
_FETCH = "0.17.0"
_TYPESCRIPT = "5.9.3"
#: The list of the files that make up a client, beside them: what a later --force may replace.
_MADE = ".a2a-client.json"
#: Seconds for the generator, the time that it takes to fetch it included.
_PATIENCE = 300.0

_INDEX = """\
// Made by `a2a client {agent} --lang typescript`; schema.ts is openapi-typescript's.
import createClient, {{ type ClientOptions }} from "openapi-fetch";
import type {{ paths }} from "./schema";

export type {{ components, operations, paths }} from "./schema";

type Json = "application/json" | "application/a2a+json" | "application/problem+json";

/** A client of the agent {agent}; `key` is an API key of its platform. Events are read with fetch itself. */
export function connect(options: ClientOptions & {{ key?: string }} = {{}}) {{
  const {{ key, headers, ...others }} = options;
  return createClient<paths, Json>({{
    baseUrl: {url},
    ...others,
    headers: {{ ...(key ? {{ Authorization: `Bearer ${{key}}` }} : {{}}), ...headers }},
  }});
}}
"""


@click.command("client")
@connected
@click.argument("agent", required=False, default="", shell_complete=agent_names)
@click.option("--lang", required=True, type=click.Choice(["python", "typescript"]), help="Its language.")
@click.option("--out", default="", metavar="DIR", help="Where it is written. [./AGENT-client]")
@click.option("--force", is_flag=True, help="Write over a client that this command made.")
def client_command(options: Options, agent: str, lang: str, out: str, force: bool) -> int:
    """Write a typed client of AGENT, made from its OpenAPI document by a public generator."""
    agent = agent_named(agent)
    folder = Path(out or f"{_plain(agent, '-')}-client").expanduser()
    earlier = _earlier(folder, force)
    body = options.ask(lambda platform: platform.bytes("GET", f"{agent_path(agent)}/openapi.json"))
    document: Any = json.loads(body)
    with tempfile.TemporaryDirectory(prefix="a2a-client-") as place:
        source = Path(place) / "openapi.json"
        source.write_bytes(body)
        made = Path(place) / "made"
        if lang == "python":
            warnings = _python(agent, source, made)
        else:
            warnings = _typescript(agent, source, made, document)
        shutil.copy(source, made / "openapi.json")
        _put(made, folder, earlier)
    for line in warnings:
        say(clean_line(line))
    if options.json:
        put_json({"agent": agent, "lang": lang, "folder": str(folder), "warnings": warnings})
        return int(Exit.OK)
    put(clean_line(str(folder)))
    say(clean_line(_how(lang, folder, agent)))
    return int(Exit.OK)


def _earlier(folder: Path, force: bool) -> list[str]:
    """The files that this command wrote there before; [] for a new or empty folder. Raises Failure."""
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return []
        files: Any = json.loads((folder / _MADE).read_bytes())["files"]
        if force:
            return [str(name) for name in files]
        remedy = "Write over it with --force, or name another --out."
    except (OSError, ValueError, LookupError, TypeError):
        remedy = "It is no client that this command made: name another --out."
    raise Failure(Exit.USAGE, f"{folder} is there already.", remedy=remedy)


def _put(made: Path, folder: Path, earlier: list[str]) -> None:
    """Put what was made where it belongs, in the place of the earlier client's files and no others."""
    files = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
    (made / _MADE).write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")
    try:
        own = folder.resolve()
        for name in {*earlier} - {*files}:
            path = folder / name
            if path.parent.resolve().is_relative_to(own):
                path.unlink(missing_ok=True)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    except OSError as error:
        raise Failure(
            Exit.FAILED, f"{folder} can't be written: {error}.", remedy="Name another --out."
        ) from None


def _how(lang: str, folder: Path, agent: str) -> str:
    if lang == "typescript":
        return f'cd {folder} && npm install; then: import {{ connect }} from "{_plain(agent, "-")}-client"'
    package = f"{_plain(agent, '_')}_client"
    return f"pip install {folder}; then: from {package} import AuthenticatedClient"


def _plain(agent: str, between: str) -> str:
    """The agent's name as a package may be called."""
    return re.sub(r"[^a-z0-9]+", between, agent.lower()).strip(between)


def _python(agent: str, source: Path, made: Path) -> list[str]:
    settings = source.with_name("settings.json")
    names = {
        "project_name_override": f"{_plain(agent, '-')}-client",
        "package_name_override": f"{_plain(agent, '_')}_client",
    }
    settings.write_text(json.dumps(names))
    words = [_uv(), "tool", "run", "--from", PYTHON_GENERATOR, "openapi-python-client", "generate"]
    words += ["--path", str(source), "--config", str(settings), "--meta", "uv", "--output-path", str(made)]
    said = _run(words, made / "pyproject.toml")
    return [line for line in said.splitlines() if line.startswith("WARNING")]


def _typescript(agent: str, source: Path, made: Path, document: Any) -> list[str]:
    npx = shutil.which("npx")
    if npx is None:
        raise Failure(
            Exit.FAILED,
            "npx is not here, which runs the generator.",
            remedy=f"Install Node.js 20 or newer; or run where it is: npx --yes {TYPESCRIPT_GENERATOR} "
            "openapi.json -o schema.ts",
        )
    made.mkdir()
    _run([npx, "--yes", TYPESCRIPT_GENERATOR, str(source), "-o", str(made / "schema.ts")], made / "schema.ts")
    url = json.dumps(document["servers"][0]["url"])
    (made / "index.ts").write_text(_INDEX.format(agent=agent, url=url), encoding="utf-8")
    package = {
        "name": f"{_plain(agent, '-')}-client",
        "version": "0.1.0",
        "private": True,
        "type": "module",
        "main": "./dist/index.js",
        "types": "./dist/index.d.ts",
        "scripts": {"build": "tsc", "prepare": "tsc"},
        "dependencies": {"openapi-fetch": _FETCH},
        "devDependencies": {"typescript": _TYPESCRIPT},
    }
    compiler = {
        "target": "ES2022",
        "module": "ES2022",
        "moduleResolution": "bundler",
        "lib": ["ES2022", "DOM", "DOM.Iterable"],
        "strict": True,
        "declaration": True,
        "outDir": "dist",
        "types": [],
    }
    project = {"compilerOptions": compiler, "include": ["index.ts", "schema.ts"]}
    for name, value in (("package.json", package), ("tsconfig.json", project)):
        (made / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    return []


def _uv() -> str:
    """The uv that came with the platform, or the one on the path."""
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise Failure(
            Exit.FAILED, "uv is not here, which runs the generator.", remedy="Install it: pip install uv"
        )
    return found


def _run(words: list[str], proof: Path) -> str:
    """Run the generator; what it said. It has done its work when `proof` is there. Raises Failure."""
    command = shlex.join(words)
    progress = Progress()
    progress.show(f"running {PYTHON_GENERATOR if 'tool' in words else TYPESCRIPT_GENERATOR}")
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failure(
            Exit.TRY_LATER,
            f"The generator was not done in {_PATIENCE:.0f} seconds.",
            remedy=f"See what it waits for: {command}",
        ) from None
    finally:
        progress.clear()
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode or not proof.is_file():
        last = [line for line in said.splitlines() if line.strip()][-5:]
        raise Failure(
            Exit.FAILED,
            f"The generator failed: {' / '.join(last) or f'it ended with {done.returncode}'}",
            remedy=f"It is fetched when it is first used, which needs the network. By hand: {command}",
        )
    return said
