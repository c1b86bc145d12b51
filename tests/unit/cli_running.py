"""An agent's folder, and what the control API says of its releases, for tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

#: The fixture `a2a`: words of a command line → (exit code, stdout, stderr).
Run = Callable[..., tuple[int, str, str]]


def make_agent(folder: Path, name: str = "greeter", **files: str | bytes) -> Path:
    """A folder that is an agent; further files by name, with `__` for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a2a.toml").write_text(f'name = "{name}"\nentry = "agent"\n')
    (folder / "agent.py").write_text("print('hello')\n")
    for file, content in files.items():
        path = folder / file.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def release(number: int = 1, **more: Any) -> dict[str, Any]:
    """A Release document as the control API gives it."""
    return {
        "agent": "greeter",
        "org": "default",
        "release": number,
        "state": "ready",
        "step": "switch",
        "serving": True,
        "digest": "sha256:" + "ab" * 32,
        "source_digest": "sha256:" + "cd" * 32,
        "version": "1.0.0",
        "major": 1,
        "created": "2026-11-21T12:00:00.000Z",
        "ended": "2026-11-21T12:00:01.500Z",
        "by": "ada@default",
        "size": 100,
        "files": 2,
        "environment": {"digest": "sha256:" + "ef" * 32, "python": "3.11.7", "packages": 2},
        "sandbox": {"name": "process", "layers": ["rlimits"], "missing": ["Agent code can do anything."]},
        "isolation": "shared",
        "require": "",
        "skills": ["greet"],
        "findings": [],
        "changes": [],
        "cause": None,
        "url": "http://127.0.0.1:8080/agents/greeter",
        "preview_url": f"http://{number}--greeter.localhost:8080",
        "docs_url": f"http://{number}--greeter.localhost:8080/docs",
        **more,
    }


def entry(
    no: int, step: str, message: str = "", *, at: str = "00.000", level: str = "info"
) -> dict[str, Any]:
    """An entry of a release's progress; `at` are seconds of the minute."""
    return {"no": no, "at": f"2026-11-21T12:00:{at}Z", "step": step, "level": level, "message": message}
