"""Docstrings as descriptions: the summary of a skill and a line for each parameter.

Reads the three styles people write: Google (`Args:`), NumPy (underlined `Parameters`) and
reStructuredText (`:param x:`). What it does not recognise stays text; it never raises.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_GOOGLE = re.compile(
    r"^(args|arguments|parameters|params|keyword args|keyword arguments|other parameters)\s*:$", re.I
)
_GOOGLE_RETURNS = re.compile(r"^(returns?|yields?)\s*:$", re.I)
_GOOGLE_OTHER = re.compile(
    r"^(raises?|examples?|notes?|warnings?|attributes|see also|references|todo|warns|receives)\s*:$", re.I
)
_GOOGLE_ITEM = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY_UNDERLINE = re.compile(r"^-{3,}$")
_NUMPY_ITEM = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_REST_PARAM = re.compile(
    r"^:(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$"
)
_REST_RETURNS = re.compile(r"^:(?:returns?|yields?)\s*:\s*(.*)$")
_REST_FIELD = re.compile(r"^:\w+[^:]*:")


@dataclass(slots=True)
class Doc:
    """A docstring, taken apart. `summary` is its first paragraph in one line."""

    summary: str = ""
    body: str = ""
    params: dict[str, str] = field(default_factory=dict[str, str])
    returns: str = ""


def parse(text: str | None) -> Doc:
    """Take a docstring apart; an absent one gives an empty `Doc`."""
    doc = Doc()
    if not text or not text.strip():
        return doc
    lines = inspect.cleandoc(text).splitlines()
    prose: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at].rstrip()
        title = line.strip().lower()
        underlined = at + 1 < len(lines) and bool(_NUMPY_UNDERLINE.match(lines[at + 1].strip()))
        if underlined and line == line.lstrip():
            block, at = _numpy_block(lines, at + 2)
            if title in ("parameters", "other parameters"):
                _numpy_params(block, doc)
            elif title in ("returns", "yields"):
                doc.returns = _numpy_returns(block)
        elif _GOOGLE.match(line) or _GOOGLE_RETURNS.match(line) or _GOOGLE_OTHER.match(line):
            block, at = _indented(lines, at + 1)
            if _GOOGLE.match(line):
                _google_params(block, doc)
            elif _GOOGLE_RETURNS.match(line):
                doc.returns = _joined(block)
        elif _REST_FIELD.match(line):
            block, at = _indented(lines, at + 1)
            _rest_field(line, block, doc)
        else:
            prose.append(line)
            at += 1
    paragraphs = [p.strip() for p in "\n".join(prose).strip().split("\n\n") if p.strip()]
    if paragraphs:
        doc.summary = _joined(paragraphs[0].splitlines())
        doc.body = "\n\n".join(paragraphs[1:])
    return doc


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())


def _indented(lines: list[str], at: int) -> tuple[list[str], int]:
    """The indented (or blank) lines from `at`, and where they end."""
    block: list[str] = []
    while at < len(lines) and (not lines[at].strip() or lines[at][0].isspace()):
        block.append(lines[at].rstrip())
        at += 1
    return block, at


def _google_params(block: list[str], doc: Doc) -> None:
    indents = [len(line) - len(line.lstrip()) for line in block if line.strip()]
    depth = min(indents, default=0)
    name = ""
    for line in block:
        if not line.strip():
            continue
        item = _GOOGLE_ITEM.match(line.strip()) if len(line) - len(line.lstrip()) == depth else None
        if item:
            name = item[1]
            doc.params[name] = item[2].strip()
        elif name:
            doc.params[name] = f"{doc.params[name]} {line.strip()}".strip()


def _numpy_block(lines: list[str], at: int) -> tuple[list[str], int]:
    """The lines of a NumPy section: until the next underlined title."""
    block: list[str] = []
    while at < len(lines):
        if at + 1 < len(lines) and lines[at].strip() and _NUMPY_UNDERLINE.match(lines[at + 1].strip()):
            break
        block.append(lines[at].rstrip())
        at += 1
    return block, at


def _numpy_params(block: list[str], doc: Doc) -> None:
    names: list[str] = []
    for line in block:
        item = None if not line or line[0].isspace() else _NUMPY_ITEM.match(line)
        if item:
            names = [name.strip().lstrip("*") for name in item[1].split(",")]
            for name in names:
                doc.params[name] = ""
        elif line.strip():
            for name in names:
                doc.params[name] = f"{doc.params[name]} {line.strip()}".strip()


def _numpy_returns(block: list[str]) -> str:
    described = [line for line in block if line[:1].isspace()]
    return _joined(described or block)


def _rest_field(line: str, block: list[str], doc: Doc) -> None:
    param, returns = _REST_PARAM.match(line), _REST_RETURNS.match(line)
    if param:
        doc.params[param[1]] = _joined([param[2], *block])
    elif returns:
        doc.returns = _joined([returns[1], *block])
