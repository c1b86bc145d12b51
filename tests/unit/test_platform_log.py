"""The platform's own log: its forms, the ids that lines find by themselves, and what is blackened."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from a2a_cloud.ops.logs import BLACK, about, blacken, knowing, set_up
from a2a_cloud.settings import Logs

RUN = "run_" + "0" * 31 + "1"
TASK = "task_" + "0" * 31 + "2"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Asked:
    """A request that is being answered."""

    id = "req_1"
    over = False
    traceparent = f"00-{TRACE}-00f067aa0ba902b7-01".encode()


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("a2a_cloud")
    before = root.handlers[:], root.level, own.level
    token = about.set(None)
    yield
    about.reset(token)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


def said(form: str, *words: object, level: str = "info") -> str:
    stream = io.StringIO()
    handler = set_up(Logs(form, level), stream)
    knowing(handler, lambda run: (TASK, TRACE) if run == RUN else None)
    logging.getLogger("a2a_cloud.test").warning(*words)
    return stream.getvalue()


def test_json_has_the_ids_of_what_a_line_is_about() -> None:
    row = json.loads(said("json", "run %s: it failed", RUN))
    assert list(row) == ["time", "level", "logger", "message", "run", "task", "trace"]
    assert (row["run"], row["task"], row["trace"], row["level"]) == (RUN, TASK, TRACE, "warning")
    assert row["time"].endswith("Z")


def test_a_line_within_a_request_names_it_until_it_is_answered() -> None:
    asked = Asked()
    about.set(asked)
    row = json.loads(said("json", "GET /x: odd"))
    assert (row["request"], row["trace"]) == ("req_1", TRACE)
    asked.over = True
    assert "request" not in json.loads(said("json", "later"))


def test_text_is_for_people() -> None:
    line = said("text", "run %s: it failed", RUN)
    assert line.rstrip().endswith(f"run {RUN}: it failed [task={TASK} trace={TRACE}]")


def test_no_terminal_means_json() -> None:
    assert json.loads(said("", "hello"))["message"] == "hello"


def test_an_exception_is_one_line_and_blackened() -> None:
    stream = io.StringIO()
    set_up(Logs("json"), stream)
    try:
        raise ValueError("Authorization: Bearer abcdef1234567890")
    except ValueError:
        logging.getLogger("a2a_cloud.test").exception("it failed")
    (line,) = stream.getvalue().splitlines()
    row = json.loads(line)
    assert "ValueError" in row["exception"]
    assert "abcdef1234567890" not in line


def test_libraries_are_heard_from_warnings_on() -> None:
    stream = io.StringIO()
    set_up(Logs("json", "debug"), stream)
    logging.getLogger("aiohttp.client").info("noise")
    logging.getLogger("a2a_cloud.x").debug("ours")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["ours"]


@pytest.mark.parametrize(
    "secret",
    [
        "a2a_0123456789ab_" + "A" * 49,
        "a2r_" + "B" * 43,
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
        "g1.eyJ2IjoxfQ.QUJDREVGR0g",
        "ghp_" + "C" * 36,
        "whsec_" + "D" * 32,
        "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----",
    ],
    ids=["api-key", "refresh", "jwt", "grant", "github", "webhook", "pem"],
)
def test_what_looks_like_a_secret_is_blackened(secret: str) -> None:
    told = blacken(f"before {secret} after")
    assert secret not in told
    assert (told.startswith("before "), told.endswith(" after"), BLACK in told) == (True, True, True)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer s3cr3t-value", "s3cr3t-value"),
        ("password='hunter22'", "hunter22"),
        ('{"client_secret": "abcdefgh"}', "abcdefgh"),
        ("GET /sse/x?exp=1&sig=QUJDREVG", "QUJDREVG"),
        ("redirected to /cb?code=SplxlOBeZQ", "SplxlOBeZQ"),
        ("POST /agents/a/hooks/skill/kEyInPath: refused", "kEyInPath"),
        ("GET /invite/oncetoken: gone", "oncetoken"),
        ("http://user:passw0rd@collector:4318 is away", "passw0rd"),
    ],
)
def test_what_is_named_as_a_secret_is_blackened(text: str, secret: str) -> None:
    assert secret not in blacken(text)


@pytest.mark.parametrize(
    "text",
    [
        f"run {RUN}: a commit was refused: UNIQUE constraint failed",
        "POST /agents/a/invoke/review: storage_full: no room",
        "TLS has the certificate that /etc/tls/cert.pem holds now.",
        "a2a_cloud-0.1.0-py3-none-any.whl",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert blacken(text) == text
