"""The platform's own log: lines for people on a terminal, JSON elsewhere, with the ids of what they are about
and without secrets.

A line finds its ids by itself: those that stand in its words, the request that is being answered where it is
written (`about`), and for a run its task and trace (`facts`). Nothing is looked up before a line is written,
so a call that writes none pays for one context variable. What looks like a key, a token, a grant or a
password in an address is blackened, whoever wrote it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO, cast

from a2a_cloud.settings import Logs


class About(Protocol):
    """What is being answered: its id, made when somebody asks, and the trace that it is part of."""

    @property
    def id(self) -> str: ...
    @property
    def over(self) -> bool:
        """It is answered: what goes on in its name is about something else."""
        ...

    @property
    def traceparent(self) -> bytes: ...


#: (task, trace) of a run that lives, None for another.
Facts = Callable[[str], tuple[str, str] | None]

#: The request that this context answers.
about: ContextVar[About | None] = ContextVar("about", default=None)

_IDS = {
    "run": re.compile(r"\brun_[0-9a-f]{32}\b"),
    "task": re.compile(r"\btask_[0-9a-f]{32}\b"),
    "grant": re.compile(r"\bgrant_[0-9a-f]{32}\b"),
    "approval": re.compile(r"\bappr_[0-9a-f]{32}\b"),
}
_SECRETS = re.compile(
    r"\ba2a_[0-9a-f]{12}_[A-Za-z0-9_-]{20,}"  # API keys; what is before the secret says which
    r"|\ba2[b-z]_[A-Za-z0-9_-]{16,}"  # refresh tokens and what else OAuth gives out
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # JWTs
    r"|\bg1\.[A-Za-z0-9_.-]{16,}"  # grants
    r"|\b(?:gh[pousr]|github_pat|xox[abp]|sk|rk|whsec)[-_][A-Za-z0-9_-]{16,}"  # well-known kinds of others
    r"|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"  # a password in an address
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_NAMED = re.compile(
    r"(?i)(\b(?:bearer|basic|dpop)\s+|\b(?:password|passwd|secret|token|api[-_]?key|client_secret)"
    r"[\"']?\s*[=:]\s*[\"']?|[?&](?:sig|code|state)=|/hooks/[^/\s]+/|/(?:invite|recover|link)/)([^\s\"'&,;<>]{6,})"
)
BLACK = "[secret]"


def blacken(text: str) -> str:
    """The text without what looks like a secret."""
    return _NAMED.sub(lambda found: found[1] + BLACK, _SECRETS.sub(BLACK, text))


class Lines(logging.Formatter):
    """A line for people: the time, how bad it is, who says it, what, and ids that the words don't name."""

    def __init__(self, facts: Facts = lambda _: None) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._facts = facts

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        text = blacken(super().format(record))
        ids = ids_of(record, text, self._facts)
        more = " ".join(f"{name}={value}" for name, value in ids.items() if value not in text)
        if not more:
            return text
        first, line, rest = text.partition("\n")
        return f"{first} [{more}]{line}{rest}"


class Json(logging.Formatter):
    """A line for programs: one JSON object, in a fixed order of members."""

    def __init__(self, facts: Facts = lambda _: None) -> None:
        super().__init__()
        self._facts = facts

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        message = blacken(record.getMessage())
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        row: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
            **ids_of(record, message, self._facts),
        }
        if record.exc_info:
            row["exception"] = blacken(self.formatException(record.exc_info))
        elif record.exc_text:
            row["exception"] = blacken(record.exc_text)
        return json.dumps(row, ensure_ascii=False, default=str)


def ids_of(record: logging.LogRecord, text: str, facts: Facts) -> dict[str, str]:
    """What a line is about, by name."""
    ids: dict[str, str] = {}
    request = about.get()
    if request is not None and not request.over:
        ids["request"] = request.id
        trace = request.traceparent.split(b"-")
        if len(trace) > 3 and len(trace[1]) == 32:
            ids["trace"] = trace[1].decode("ascii", "replace")
    for name, pattern in _IDS.items():
        value = getattr(record, name, "") or ((found := pattern.search(text)) and found[0])
        if isinstance(value, str) and value:
            ids[name] = value
    if run := ids.get("run"):
        known = facts(run)
        if known is not None:
            task, trace = known
            if task:
                ids.setdefault("task", task)
            if trace:
                ids["trace"] = trace
    return ids


def set_up(settings: Logs, stream: TextIO | None = None) -> logging.Handler:
    """Write this process's log as the settings say, to standard error. Libraries are heard from warnings on,
    whatever the level."""
    stream = stream or cast("TextIO", sys.stderr)
    as_json = settings.form == "json" or (not settings.form and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Json() if as_json else Lines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    level: int = getattr(logging, settings.level.upper())
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("a2a_cloud").setLevel(level)
    return handler


def knowing(handler: logging.Handler, facts: Facts) -> None:
    """From now on lines about a run name its task and trace."""
    formatter = handler.formatter
    if isinstance(formatter, Json | Lines):
        formatter._facts = facts  # pyright: ignore[reportPrivateUsage]
