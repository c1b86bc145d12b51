"""What uv said when it failed, as one sentence and what to do next.

uv's words are for a person at a terminal: the cause is found in them by their wording. A wording
that is not known here is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from a2a_cloud.model.problem import BuildFailed
from a2a_cloud.runtime.build.kit import REQUIRES

#: Lines of uv that a failure carries along (`info["log"]`).
LINES = 40
_REASON = 600

_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
_AGAIN = "Deploy again when the index answers; the operator names another one with UV_DEFAULT_INDEX."
_WHEEL = (
    "Take a version of it that has a wheel for this Python and platform: code of a package's author is "
    "not run to build one."
)

#: (what uv's text holds, our sentence with its groups and {python}, the remedy); the first that fits.
_KNOWN: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), detail, remedy)
    for pattern, detail, remedy in (
        (
            r"No space left on device|Disk quota exceeded",
            "The disk filled up while the environment was made.",
            "Free some space (`uv cache prune` gives back what uv keeps), and deploy again.",
        ),
        (
            r"Hash mismatch for `([^`]+)`",
            "What the index gives for {0} is not what the lock names: its hash differs.",
            "If the lock is yours, make it again (`uv lock`, or `uv pip compile --generate-hashes`) and find "
            "out why the file changed; otherwise deploy with --upgrade.",
        ),
        (
            r"(?:Because|And because) (\S+) was not found in the cache|network was disabled",
            "The platform's uv is offline and does not have everything in its cache.",
            "Unset UV_OFFLINE for the platform, or fill its cache first.",
        ),
        (
            r"invalid peer certificate|UnknownIssuer|certificate verify failed",
            "The package index's certificate is not trusted here.",
            "The operator names the certificates with SSL_CERT_FILE, or sets UV_SYSTEM_CERTS=1.",
        ),
        (
            r"(\S+) leads to an address that ",
            "The package index {0} has an address that nobody may connect to.",
            "The operator names another index: UV_DEFAULT_INDEX.",
        ),
        (
            r"401 Unauthorized|403 Forbidden|Missing credentials|authentication (?:failed|required)",
            "The package index wants credentials that the platform does not have.",
            "The operator gives them: UV_INDEX_{{NAME}}_USERNAME and UV_INDEX_{{NAME}}_PASSWORD.",
        ),
        (
            r"(?:Failed to fetch|Failed to download)[^\n]*\n.*?(dns error|timed out|connect error|connection|"
            r"error sending request)|Request failed after",
            "The package index can't be reached.",
            "See that the platform has a way to it (HTTPS_PROXY, UV_DEFAULT_INDEX). " + _AGAIN,
        ),
        (
            r"requires Python (\S+?),? ",
            "A package that is asked for does not run on Python {python}.",
            "Take a version of it that does.",
        ),
        (
            r"no wheels with a matching|no usable wheels|Wheels are required for",
            "A package has no wheel for Python {python} on this platform.",
            _WHEEL,
        ),
        (
            r"(?:Because|And because|,) ?(\S+) was not found in the (?:package registry|provided package)",
            "There is no package `{0}` on the index.",
            "Check its spelling; a package of your own index needs UV_INDEX in the platform's environment.",
        ),
        (
            r"there (?:is|are) no versions? of ([^\s,]+)",
            "The index has no version that fits `{0}`.",
            "Ask for one that there is.",
        ),
        (
            r"depends on msgspec|require a2a-cloud",
            "What is asked for does not go together with the kit.",
            f"Loosen it: the kit needs {REQUIRES}, and its own version is the platform's.",
        ),
        (
            r"No solution found",
            "The requirements can't all be met at once.",
            "Loosen one of those that exclude each other.",
        ),
        (
            r"included as a URL dependency",
            "A package depends on a URL, and an environment is made of wheels from an index.",
            "Take a version of it whose dependencies are on an index.",
        ),
        (
            r"Couldn't parse requirement|Expected (?:one of|an? )|Unexpected '",
            "A requirement can't be read.",
            "Write it like `name>=1.2,<2`; the log points at the place.",
        ),
        (
            r"uses an unsupported schema version",
            "uv.lock was made by a uv that the platform's does not understand.",
            "Make it with an older uv, or let the operator upgrade the platform's.",
        ),
        (
            r"lockfile at `uv\.lock` needs to be updated|Missing workspace member",
            "uv.lock does not fit pyproject.toml.",
            "Run `uv lock`, and deploy again.",
        ),
        (r"Failed to parse `uv\.lock`", "uv.lock can't be read.", "Run `uv lock`, and deploy again."),
        (
            r"Permission denied|Read-only file system",
            "The platform may not write where the environment or uv's cache lies.",
            "The operator gives it the right, or names another cache with UV_CACHE_DIR.",
        ),
    )
)


def explain(lines: Sequence[str], code: int, what: str, python: str) -> BuildFailed:
    """The Problem for a run of uv that failed.

    `lines`: the last ones that it wrote; `code`: its exit code, negative for a signal; `what`: what
    it was doing, for a sentence ("installing"); `python`: the version that the agent gets.
    """
    shown = [redacted(line) for line in lines[-LINES:]]
    text = "\n".join(shown)
    start = text.find("error:")
    cause = text[start:] if start >= 0 else text
    # Lines are broken for reading; the wordings are looked for in what they say.
    flat = re.sub(r"[ \t]*\n[ \t]+", " ", cause)
    info = {"log": text}
    if code < 0:
        return BuildFailed(
            f"uv was killed by signal {-code} while {what}.",
            remedy="The machine may be out of memory. Deploy again.",
            info=info,
        )
    for pattern, detail, remedy in _KNOWN:
        found = pattern.search(cause) or pattern.search(flat)
        if found is not None:
            groups = [group or "" for group in found.groups()]
            sentence = detail.format(*groups, python=python)
            # A sentence that names the package has said it.
            reason = "" if "{0}" in detail else _reason(flat)
            return BuildFailed(f"{sentence}{reason}", remedy=remedy.format(python=python), info=info)
    line = cause.partition("\n")[0] if start >= 0 else text.rpartition("\n")[2]
    first = line.removeprefix("error:").strip() or f"exit code {code}"
    return BuildFailed(
        f"uv failed while {what}: {first}.", remedy="The log holds all that it said.", info=info
    )


def redacted(line: str) -> str:
    """A line without the credentials in its addresses."""
    return _CREDENTIALS.sub("****@", line)


def _reason(flat: str) -> str:
    """uv's own reasoning about a conflict, without its last clause, which says nothing new."""
    found = re.search(r"cause: (Because .*?)(?:,? we can conclude that your|\n|$)", flat)
    return f" {found[1].strip().rstrip('.,')[:_REASON]}." if found else ""
