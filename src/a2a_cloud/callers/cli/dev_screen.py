"""What `a2a dev` writes: lines above the prompt that leave what is being typed alone, or JSON, one object
a line.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from a2a_cloud.callers.cli.terminal import clean, clean_line, put
from a2a_cloud.client.shapes import items, text

_STYLES = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1", "accent": "36"}
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
#: An error's own line in a traceback: `ValueError: …`, `agent.Odd: …`.
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Declaration)\b.*")


class Screen:
    """Standard output, shared by the prompt and threads that tell what happens. `as_json`: for programs."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.colour = not as_json and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.RLock()
        self._prompt = ""
        self._signals = -1

    def style(self, name: str, words: str) -> str:
        """`words` in a style (good, bad, warn, dim, bold, accent), where there is colour."""
        return f"\x1b[{_STYLES[name]}m{words}\x1b[0m" if self.colour else words

    def tell(self, document: dict[str, Any], *lines: str) -> None:
        """One thing that happened: the document for programs, the lines (clean already) for people."""
        with self._lock:
            if self.as_json:
                put(json.dumps(document, ensure_ascii=False))
            elif lines:
                self._write("\n".join(lines))

    def _write(self, words: str) -> None:
        out = sys.stdout
        if not self._prompt:
            print(words, flush=True)
            return
        import readline

        typed = readline.get_line_buffer()
        rows = (len(self._prompt) + len(typed)) // max(1, shutil.get_terminal_size().columns)
        up = f"\x1b[{rows}A" if rows else ""
        out.write(f"\r{up}\x1b[J{words}\n{self._prompt}{clean_line(typed)}")
        out.flush()

    def read(self, prompt: str) -> str:
        """A line that is typed at the prompt, by the main thread. Raises EOFError, KeyboardInterrupt."""
        if self._signals < 0:
            told, self._signals = os.pipe()
            os.set_blocking(self._signals, False)
            threading.Thread(target=self._repeat, args=(told,), daemon=True).start()
        before = signal.set_wakeup_fd(self._signals, warn_on_full_buffer=False)
        try:
            with self._lock:
                self._prompt = prompt
            return input(prompt)
        finally:
            with self._lock:
                self._prompt = ""
            signal.set_wakeup_fd(before)

    def _repeat(self, told: int) -> None:
        """Send signals again that came just before readline began to wait: it would not wake for them."""
        main = threading.main_thread().ident
        while number := os.read(told, 1):
            time.sleep(0.05)
            with self._lock:
                if self._prompt and main is not None:
                    signal.pthread_kill(main, number[0])


#: So many findings are told whole; more are counted.
_FEW = 3


def reloaded(screen: Screen, event: dict[str, Any], before: list[str]) -> list[str]:
    """A save that serves: how long it took, which skills came and went."""
    skills = [str(each) for each in items(event.get("skills"))]
    took = f" in {event['ms']} ms" if "ms" in event else ""
    lines = [screen.style("good", f"✓ release {event.get('release', '?')} serves{took}")]
    changed = [f"+{name}" for name in skills if name not in before]
    changed += [f"-{name}" for name in before if name not in skills]
    if changed:
        lines.append("  skills " + clean_line(" ".join(changed)))
    return lines


def findings(screen: Screen, found: list[dict[str, Any]], known: list[dict[str, Any]]) -> list[str]:
    """What the card's lint found and had not found before: a few whole, many as their number."""
    new = [each for each in found if each not in known]
    if len(new) > _FEW:
        skills = len({text(each.get("skill")) for each in new})
        words = f"  ! The card could say more: {len(new)} findings on {skills} skills. `lint` lists them."
        return [screen.style("warn", words)]
    return whole_findings(screen, new)


def whole_findings(screen: Screen, found: list[dict[str, Any]]) -> list[str]:
    """Findings with their remedies, two lines each."""
    lines: list[str] = []
    for each in found:
        where = f"{each['skill']}: " if each.get("skill") else ""
        lines.append(screen.style("warn", clean_line(f"  ! {where}{text(each.get('detail'))}")))
        if each.get("remedy"):
            lines.append(screen.style("dim", clean_line(f"    {each['remedy']}")))
    return lines


def broken(screen: Screen, event: dict[str, Any], folder: Path, release: int) -> list[str]:
    """A save that can't serve: the error, its file and line with the source there, the way out."""
    code = text(event.get("code"))
    detail = clean(text(event.get("detail")))
    log = [text(each) for each in items(event.get("lines"))]
    every = [*detail.splitlines(), *log]
    head, _, rest = detail.partition("\n")
    lines = [screen.style("bad", f"✗ {head}") + screen.style("dim", f" ({clean_line(code)})" if code else "")]
    place = locate(every, folder)
    if place is not None:
        path, number = place
        raised = next((each.strip() for each in reversed(every) if _RAISED.match(each.strip())), "")
        lines.append(
            "  " + screen.style("bold", f"{path}:{number}") + clean_line(f"  {raised}" if raised else "")
        )
        lines += excerpt(screen, folder / path, number)
    elif rest or log:
        lines += [screen.style("dim", clean_line(f"  │ {each}")) for each in (rest.splitlines() or log)[-12:]]
    if event.get("remedy"):
        lines.append("  " + screen.style("accent", clean_line(f"→ {event['remedy']}")))
    lines.append(
        screen.style("dim", f"  Release {release} goes on serving.")
        if release
        else screen.style("dim", "  Nothing serves yet: mend it and save.")
    )
    return lines


def locate(lines: list[str], folder: Path) -> tuple[str, int] | None:
    """(path below `folder`, line number) of the last frame of a traceback that is the agent's own.

    A worker runs a copy of the folder (below its `.a2a`), so a path counts by its end.
    """
    found: tuple[str, int] | None = None
    for line in lines:
        for path, number in _FRAME.findall(line):
            if "site-packages" in path or path.startswith("<"):
                continue
            parts = Path(path).parts
            for start in range(1, len(parts)):
                end = Path(*parts[start:])
                if not str(end).startswith(".") and (folder / end).is_file():
                    found = (end.as_posix(), int(number))
                    break
    return found


def excerpt(screen: Screen, path: Path, number: int) -> list[str]:
    """The source around a line, that line marked. [] when it can't be read."""
    try:
        source = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    lines: list[str] = []
    for at in range(max(1, number - 1), min(len(source), number + 1) + 1):
        words = clean_line(f"{at:>5} {'›' if at == number else '│'} {source[at - 1]}")
        lines.append("  " + (words if at == number else screen.style("dim", words)))
    return lines
