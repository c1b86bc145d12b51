"""What looks like a secret in a source. The tokens here are made up as the tests run: none is real."""

from __future__ import annotations

import string
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.control.registry import pack
from a2a_cloud.model.problem import SecretInSource
from a2a_cloud.wire import secrets_scan
from a2a_cloud.wire.secrets_scan import MAX_FOUND, FoundSecret, check_secrets, find_secrets
from a2a_cloud.wire.source import list_source

RANDOM = Random(7)
LETTERS = string.ascii_letters
WORD = LETTERS + string.digits
UPPER = string.ascii_uppercase + "234567"
HEX = "0123456789abcdef"


def some(length: int, of: str = WORD) -> str:
    return "".join(RANDOM.choices(of, k=length))


# In halves, so that nobody's scanner stops at this file.
BEGIN = "-----BE" + "GIN "
KEY = "PRIVATE " + "KEY-----"

TOKENS = [
    (f"a2a_{some(12, HEX)}_{some(43, WORD + '_-')}", "a key of this platform"),
    (f"AKIA{some(16, UPPER)}", "an AWS access key"),
    (f"ASIA{some(16, UPPER)}", "an AWS access key"),
    (f"aws_secret_access_key = {some(40)}", "an AWS secret key"),
    (f'export MY_AWS_SECRET_ACCESS_KEY="{some(40)}"', "an AWS secret key"),
    (f"ghp_{some(36)}", "a GitHub token"),
    (f"ghs_{some(36)}", "a GitHub token"),
    (f"github_pat_{some(22)}_{some(59)}", "a GitHub token"),
    (f"glpat-{some(20)}", "a GitLab token"),
    (f"xoxb-{some(12, '0123456789')}-{some(24)}", "a Slack token"),
    (f"https://hooks.slack.com/services/T{some(9, UPPER)}/B{some(9, UPPER)}/{some(24)}", "a Slack webhook"),
    (f"sk_live_{some(24)}", "a Stripe key"),
    (f"rk_test_{some(24)}", "a Stripe key"),
    (f"whsec_{some(32)}", "a Stripe webhook secret"),
    (f"sk-ant-api03-{some(80)}", "an Anthropic key"),
    (f"sk-{some(48)}", "an OpenAI key"),
    (f"sk-proj-{some(20)}_{some(80)}", "an OpenAI key"),
    (f"sk-or-v1-{some(64, HEX)}", "an OpenRouter key"),
    (f"AIza{some(35)}", "a Google API key"),
    (f"GOCSPX-{some(28)}", "a Google client secret"),
    (f"ya29.{some(60)}", "a Google access token"),
    (f"hf_{some(34, LETTERS)}", "a Hugging Face token"),
    (f"npm_{some(36)}", "an npm token"),
    (f"pypi-AgEIcHlwaS5vcmc{some(60)}", "a PyPI token"),
    (f"SG.{some(22)}.{some(43)}", "a SendGrid key"),
    (f"dop_v1_{some(64, HEX)}", "a DigitalOcean token"),
    (f"gsk_{some(52)}", "a Groq key"),
    (f"{BEGIN}{KEY}\n{some(64)}\n", "a private key"),
    (f"{BEGIN}RSA {KEY}\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES\r\n\r\n{some(64)}", "a private key"),
    (f'{{"private_key": "{BEGIN}{KEY}\\n{some(64)}\\n"}}', "a private key"),
    (f'KEY = (\n    "{BEGIN}OPENSSH {KEY}\\n"\n    "{some(64)}"', "a private key"),
    (f"{BEGIN}PGP PRIVATE KEY BLOCK-----\n\n{some(64)}", "a private key"),
]


def found(folder: Path) -> list[FoundSecret]:
    return find_secrets(folder, list_source(folder))


def found_in(folder: Path, text: str | bytes, name: str = "agent.py") -> list[tuple[int, str]]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [(one.line, one.what) for one in found(folder)]


@pytest.mark.parametrize(("token", "what"), TOKENS, ids=lambda value: str(value)[:12])
def test_tokens(tmp_path: Path, token: str, what: str) -> None:
    line = 1 if token.startswith("KEY") else 0
    assert (line + 2, what) in found_in(tmp_path, f"import os\n{token}\n")
    assert found_in(tmp_path, b"\0\xff\n\n = '" + token.encode() + b"'")[0][1] == what
    lines = token.split("\n")
    lines[line] += "  # a2a: not a secret"
    assert found_in(tmp_path, "\n".join(lines)) == []
    (tmp_path / "agent.py").write_text(token)
    with pytest.raises(SecretInSource) as caught:
        check_secrets(tmp_path)
    told = f"{caught.value.sentence} {caught.value.operator} {caught.value.info} {caught.value.args}"
    assert what in told
    for start in range(len(token) - 12):
        piece = token[start : start + 12]
        # No piece of it is ever told (the marks of the issuers are shorter).
        assert piece not in told or piece.lower() in "aws_secret_access_key private key"


def test_a_find_is_told(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.py").write_text(f"#\n#\nkey = 'ghp_{some(36)}'")
    (tmp_path / "y.txt").write_text(f"{TOKENS[1][0]}\n{TOKENS[11][0]}")
    (tmp_path / "prod.env").write_text("A=1")
    with pytest.raises(SecretInSource) as caught:
        pack.check_secrets(tmp_path)
    assert caught.value.detail == (
        "`prod.env` is a file of environment settings, and a release holds no secrets."
        " 3 more: `sub/x.py` line 3, `y.txt` line 1, `y.txt` line 2."
    )
    assert "a2aignore" in caught.value.remedy
    assert caught.value.info == {
        "file": "prod.env",
        "line": "0",
        "kind": "a file of environment settings",
    }
    (tmp_path / ".a2aignore").write_text("*.env\ny.txt")
    with pytest.raises(
        SecretInSource, match=r"^`sub/x.py`, line 3, holds what looks like a GitHub token\.$"
    ) as one:
        check_secrets(tmp_path)
    assert "# a2a: not a secret" in one.value.remedy
    check_secrets(tmp_path, [])


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        "sub/.env",
        ".env.production",
        "prod.env",
        ".ENV",
        "id_rsa",
        ".ssh/id_ed25519",
        ".netrc",
        ".pgpass",
        ".pypirc",
        ".git-credentials",
        "credentials.json",
        "client_secret_123.json",
        ".aws/credentials",
        "home/.docker/config.json",
        "store.p12",
        "a.kdbx",
    ],
)
def test_files_by_their_name(tmp_path: Path, name: str) -> None:
    assert len(found_in(tmp_path, "x", name)) == 1
    assert found(tmp_path)[0][:2] == (name, 0)


@pytest.mark.parametrize(
    "name",
    [
        ".env.example",
        ".env.sample",
        "env.template",
        "id_rsa.pub",
        "credentials.py",
        "credentials.example.json",
        "config.json",
        "docker/config.json",
        "aws/credentials",
        "environment",
        "cert.pem",
    ],
)
def test_files_that_are_fine(tmp_path: Path, name: str) -> None:
    assert found_in(tmp_path, "x", name) == []


def test_an_empty_file_holds_no_secret(tmp_path: Path) -> None:
    assert found_in(tmp_path, "", ".env") == []


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7" + "EXAMPLE",
        "ghp_" + "x" * 36,
        "sk-" + "0123" * 12,
        "task-" + some(48),
        "xAKIA" + some(16, UPPER),
        "AKIA" + some(17, UPPER),
        "sk-learn-contrib-" + some(5),
        f'if text.startswith("{BEGIN}{KEY}"):\n    raise ValueError("a private key has no place here")',
        f"{BEGIN}PUBLIC KEY-----\n{some(64)}",
        f"{BEGIN}CERTIFICATE-----\n{some(64)}",
        "a2a_" + some(12, HEX),
        "os.environ['AWS_SECRET_ACCESS_KEY']",
        f"--hash=sha256:{some(64, HEX)}",
        f'"integrity": "sha512-{some(86)}=="',
    ],
)
def test_what_is_none(tmp_path: Path, text: str) -> None:
    assert found_in(tmp_path, text) == []


def test_the_excuse_counts_for_its_line_alone(tmp_path: Path) -> None:
    token = TOKENS[5][0]
    text = f"# a2a: not a secret\n{token}\n{token} # a2a: not a secret\n{token}"
    assert [line for line, _ in found_in(tmp_path, text)] == [2, 4]


def test_a_file_in_pieces_is_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets_scan, "_WINDOW", 1000)
    monkeypatch.setattr(secrets_scan, "_OVERLAP", 300)
    token = TOKENS[5][0]
    for before in range(0, 2600, 37):
        filler = ("x" * 9 + "\n") * (before // 10) + "y" * (before % 10)
        text = f"{filler} {token}\n{filler} {token} # a2a: not a secret\n" + "z" * 700
        assert found_in(tmp_path, text) == [(1 + before // 10, "a GitHub token")]


def test_many(tmp_path: Path) -> None:
    """Neither a long list nor one long line takes long."""
    line = (TOKENS[5][0] + " ") * 20_000
    assert found_in(tmp_path, line) == [(1, "a GitHub token")]
    assert len(found_in(tmp_path, line.replace(" ", "\n"))) == MAX_FOUND
    assert found_in(tmp_path, f"a2a: not a secret {line[:1000]}\n{line}")[0][0] == 2
    assert found_in(tmp_path, f"{BEGIN}{KEY}" * 20_000) == []
    assert found_in(tmp_path, f"{BEGIN}{KEY}" + "A: " * 100_000) == []


@given(st.binary(max_size=300))
def test_any_bytes_are_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("s")
    (folder / "x").write_bytes(data)
    found(folder)
