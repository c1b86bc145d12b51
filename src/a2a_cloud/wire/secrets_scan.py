"""What looks like a secret in an agent's source: files that are known to hold some, and tokens in any file.

Tokens are found by the marks that their issuers gave them, so that a find is nearly always one; a
password without a mark is not found. Each mark is looked for as plain bytes and an expression of bounded
length is tried there alone, so that a file costs its length whatever stands in it. What was found is never
kept or shown: a find is a path, a line and a kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from a2a_cloud.model.problem import SecretInSource
from a2a_cloud.wire.source import SourceFile, list_source, open_source

#: On a line: what looks like a secret there is none.
EXCUSE = b"a2a: not a secret"
#: Further finds are of no use to anybody.
MAX_FOUND = 100

_WINDOW = 8 << 20
#: What a window shares with the next one: longer than any token, and than most lines.
_OVERLAP = 64 << 10
#: A value with fewer different characters is a placeholder (`ghp_xxxxxxxx…`).
_FEWEST = 8

#: Names in small letters → what such a file is. Patterns of the shell.
_FILES: tuple[tuple[str, str], ...] = (
    (".env", "a file of environment settings"),
    (".env.*", "a file of environment settings"),
    ("*.env", "a file of environment settings"),
    (".envrc", "a file of environment settings"),
    ("id_rsa", "a private SSH key"),
    ("id_dsa", "a private SSH key"),
    ("id_ecdsa", "a private SSH key"),
    ("id_ed25519", "a private SSH key"),
    ("*.ppk", "a private SSH key"),
    (".netrc", "a file of passwords"),
    ("_netrc", "a file of passwords"),
    (".pgpass", "a file of passwords"),
    (".htpasswd", "a file of passwords"),
    (".git-credentials", "a file of passwords"),
    (".pypirc", "a file of passwords"),
    ("*.kdbx", "a file of passwords"),
    (".dockercfg", "a file of credentials"),
    ("credentials.json", "a file of credentials"),
    ("client_secret*.json", "a file of credentials"),
    ("application_default_credentials.json", "a file of credentials"),
    (".aws/credentials", "a file of credentials"),
    (".docker/config.json", "a file of credentials"),
    (".kube/config", "a file of credentials"),
    (".streamlit/secrets.toml", "a file of credentials"),
    ("*.p12", "a key store"),
    ("*.pfx", "a key store"),
    ("*.jks", "a key store"),
    ("*.keystore", "a key store"),
)
#: Settings that are meant to be read.
_EXAMPLES = ("example", "sample", "template", "dist", "defaults")


class _Token(NamedTuple):
    mark: bytes
    what: str
    #: Matched where the mark begins; group 1 is the secret part.
    expression: re.Pattern[bytes]
    #: Whether a letter may stand before the mark.
    anywhere: bool


def _token(mark: str, what: str, rest: str, *, anywhere: bool = False) -> _Token:
    expression = re.compile(re.escape(mark).encode() + rest.encode())
    return _Token(mark.encode(), what, expression, anywhere)


_W = "[A-Za-z0-9_-]"
_END = "(?![A-Za-z0-9_-])"
# A key's lines follow its heading; in a string they may follow as `\n`, and after quotes of the language.
_BETWEEN = r"(?:[\s\"'+,]|\\+[rn]|[A-Za-z-]{1,30}: [^\r\n\\]{1,100}+){1,40}+"
_KEY = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----" + _BETWEEN + r"([A-Za-z0-9+/=]{16,100})"
_AWS_PAIR = r"['\"]?\s{0,8}[=:]\s{0,8}['\"]?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"

_TOKENS: tuple[_Token, ...] = (
    _token("-----BEGIN ", "a private key", _KEY, anywhere=True),
    _token("a2a_", "a key of this platform", "[0-9a-f]{12}_(" + _W + "{43}(?:[0-9A-Za-z]{6})?)" + _END),
    _token("AKIA", "an AWS access key", "([A-Z2-7]{16})" + _END),
    _token("ASIA", "an AWS access key", "([A-Z2-7]{16})" + _END),
    _token("aws_secret_access_key", "an AWS secret key", _AWS_PAIR, anywhere=True),
    _token("AWS_SECRET_ACCESS_KEY", "an AWS secret key", _AWS_PAIR, anywhere=True),
    *(_token(f"gh{kind}_", "a GitHub token", "([A-Za-z0-9]{36,255})" + _END) for kind in "pousr"),
    _token("github_pat_", "a GitHub token", "([A-Za-z0-9_]{60,255})" + _END),
    _token("glpat-", "a GitLab token", "(" + _W + "{20,64})"),
    *(_token(f"xox{kind}-", "a Slack token", "([A-Za-z0-9-]{20,255})") for kind in "abeoprs"),
    _token("xapp-", "a Slack token", "([A-Za-z0-9-]{20,255})"),
    _token(
        "hooks.slack.com/services/T", "a Slack webhook", "[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/([A-Za-z0-9]{20,40})"
    ),
    *(
        _token(f"{kind}_{mode}_", "a Stripe key", "([A-Za-z0-9]{20,255})" + _END)
        for kind in ("sk", "rk")
        for mode in ("live", "test")
    ),
    _token("whsec_", "a Stripe webhook secret", "([A-Za-z0-9+/=]{32,128})"),
    _token("sk-ant-", "an Anthropic key", "(" + _W + "{40,255})"),
    _token("sk-or-v1-", "an OpenRouter key", "([0-9a-f]{64})" + _END),
    *(
        _token(f"sk-{kind}-", "an OpenAI key", "(" + _W + "{40,255})")
        for kind in ("proj", "svcacct", "admin")
    ),
    _token("sk-", "an OpenAI key", "([A-Za-z0-9]{32,64})" + _END),
    _token("AIza", "a Google API key", "(" + _W + "{35})" + _END),
    _token("GOCSPX-", "a Google client secret", "(" + _W + "{28})" + _END),
    _token("ya29.", "a Google access token", "(" + _W + "{40,255})"),
    _token("hf_", "a Hugging Face token", "([A-Za-z]{34})" + _END),
    _token("npm_", "an npm token", "([A-Za-z0-9]{36})" + _END),
    _token("pypi-AgEIcHlwaS5vcmc", "a PyPI token", "(" + _W + "{50,255})"),
    _token("SG.", "a SendGrid key", "(" + _W + r"{22}\." + _W + "{43})" + _END),
    _token("dop_v1_", "a DigitalOcean token", "([0-9a-f]{64})" + _END),
    _token("gsk_", "a Groq key", "([A-Za-z0-9]{52})" + _END),
)


class FoundSecret(NamedTuple):
    """Where something looks like a secret. `line` counts from 1; 0 stands for the file as a whole."""

    path: str
    line: int
    what: str


def check_secrets(folder: Path, files: Sequence[SourceFile] | None = None) -> None:
    """Raises SecretInSource for the first file that holds what looks like a secret.

    `files` are those of list_source, which is asked without them (and raises what it raises).
    """
    found = find_secrets(folder, list_source(folder) if files is None else files)
    if not found:
        return
    path, line, what = found[0]
    if line:
        detail = f"`{path}`, line {line}, holds what looks like {what}."
        remedy = (
            "Take it out, or list the file in .a2aignore; a key that was shown to others has to be replaced."
            f" If it is none, write `# {EXCUSE.decode()}` on the line."
        )
    else:
        detail = f"`{path}` is {what}, and a release holds no secrets."
        remedy = "List it in .a2aignore. Plain settings are set with `a2a env`."
    if len(found) > 1:
        others = [f"`{one.path}`" + (f" line {one.line}" if one.line else "") for one in found[1:6]]
        detail += f" {len(found) - 1} more: {', '.join(others)}{', …' if len(found) > 6 else ''}."
    raise SecretInSource(detail, remedy=remedy, info={"file": path, "line": str(line), "kind": what})


def find_secrets(folder: Path, files: Sequence[SourceFile]) -> list[FoundSecret]:
    """What looks like a secret in these files of `folder`: at most 100, by file and line.

    Raises InvalidParams for a file that can't be read.
    """
    found: list[FoundSecret] = []
    for file in files:
        what = _file(file.name) if file.size else ""
        if what:
            found.append(FoundSecret(file.name, 0, what))
        else:
            found += _in_file(folder, file.name)
        if len(found) >= MAX_FOUND:
            break
    return found[:MAX_FOUND]


def _file(name: str) -> str:
    """What a file of this path is known to be, or ""."""
    path = name.lower()
    base = path.rpartition("/")[2]
    if set(base.split(".")) & set(_EXAMPLES):
        return ""
    for pattern, what in _FILES:
        if fnmatchcase(base, pattern) or ("/" in pattern and f"/{path}".endswith(f"/{pattern}")):
            return what
    return ""


def _in_file(folder: Path, name: str) -> list[FoundSecret]:
    found: set[tuple[int, str]] = set()
    lines = 0
    window = b""
    with open_source(folder, name) as (source, _):
        while len(found) < MAX_FOUND:
            block = source.read(_WINDOW)
            window += block
            # What begins in the overlap is left for the next window, which holds all of it.
            until = len(window) - _OVERLAP if block else len(window)
            if block and until <= 0:
                continue
            # Places come mark by mark: each counts the lines from the start, and there are few.
            for at, what in _tokens(window, until):
                found.add((lines + window.count(b"\n", 0, at) + 1, what))
                if len(found) >= MAX_FOUND:
                    break
            if not block:
                break
            lines += window.count(b"\n", 0, until)
            window = window[until:]
    return [FoundSecret(name, line, what) for line, what in sorted(found)]


def _tokens(window: bytes, until: int) -> Iterator[tuple[int, str]]:
    """(where, what) of the first token of each kind on each line, if it begins before `until`."""
    for token in _TOKENS:
        last = until + len(token.mark) - 1
        at = window.find(token.mark, 0, last)
        while at >= 0:
            match = token.expression.match(window, at)
            if match and (token.anywhere or not _inside_a_word(window, at)) and _is_random(match[1]):
                start, end = _line(window, at)
                if EXCUSE not in window[start:end]:
                    yield at, token.what
                # One is enough, and a long line is not read again for each token on it.
                at = end - 1
            at = window.find(token.mark, at + 1, last)


def _inside_a_word(window: bytes, at: int) -> bool:
    return at > 0 and (window[at - 1 : at].isalnum() or window[at - 1 : at] == b"_")


def _line(window: bytes, at: int) -> tuple[int, int]:
    """Where the line around `at` begins and ends, or as much of it as is looked at."""
    start = window.rfind(b"\n", max(0, at - _OVERLAP), at) + 1 or max(0, at - _OVERLAP)
    end = window.find(b"\n", at, at + _OVERLAP)
    return start, end if end >= 0 else min(len(window), at + _OVERLAP)


def _is_random(value: bytes) -> bool:
    return len(set(value)) >= _FEWEST and b"EXAMPLE" not in value.upper()
