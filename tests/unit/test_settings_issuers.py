"""The file of outside issuers, and the table `[auth]` of a2a.toml: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from a2a_cloud.control.registry.manifest import read_manifest
from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.problem import BadSetting, InvalidParams
from a2a_cloud.settings import Settings

WHOLE = """
[corp]
issuer = "https://login.example.com/"
audience = ["https://agents.example.com"]
jwks_uri = "https://keys.example.com/jwks"
algorithms = ["ES256"]
organisations = ["acme", "default"]
subject = "email"
words = "scope"
require = { groups = ["agents", "ops"], email_verified = true, level = 3 }

[local]
issuer = "http://127.0.0.1:9000"
"""


def read(folder: Path, text: str) -> tuple[Issuer, ...]:
    file = folder / "issuers.toml"
    file.write_text(text)
    return Settings.from_env({"A2A_ISSUERS": str(file)}).issuers


def test_a_whole_file(tmp_path: Path) -> None:
    corp, local = read(tmp_path, WHOLE)
    assert corp == Issuer(
        name="corp",
        issuer="https://login.example.com/",
        audience=("https://agents.example.com",),
        jwks_uri="https://keys.example.com/jwks",
        algorithms=("ES256",),
        organisations=("acme", "default"),
        subject="email",
        require=(("groups", ("agents", "ops")), ("email_verified", (True,)), ("level", (3,))),
        words="scope",
    )
    assert corp.description == "https://login.example.com/.well-known/openid-configuration"
    assert (local.organisations, local.subject, local.require) == (("default",), "sub", ())
    assert Settings.from_env({}).issuers == ()


BAD = {
    "no toml": "x",
    "no table": 'corp = "https://login.example.com"',
    "name": '[Corp]\nissuer = "https://x"',
    "taken": '[bearer]\nissuer = "https://x"',
    "no issuer": "[corp]",
    "plain http": '[corp]\nissuer = "http://login.example.com"',
    "user in it": '[corp]\nissuer = "https://me@login.example.com"',
    "port": '[corp]\nissuer = "https://login.example.com:99999"',
    "no address": '[corp]\nissuer = "login.example.com"',
    "keys by http": '[corp]\nissuer = "https://x"\njwks_uri = "http://x.example.com/keys"',
    "unknown key": '[corp]\nissuer = "https://x"\naudiences = ["y"]',
    "hmac": '[corp]\nissuer = "https://x"\nalgorithms = ["HS256"]',
    "none": '[corp]\nissuer = "https://x"\nalgorithms = ["none"]',
    "no algorithm": '[corp]\nissuer = "https://x"\nalgorithms = []',
    "audience": '[corp]\nissuer = "https://x"\naudience = "y"',
    "odd audience": '[corp]\nissuer = "https://x"\naudience = [5]',
    "subject": '[corp]\nissuer = "https://x"\nsubject = 5',
    "require": '[corp]\nissuer = "https://x"\nrequire = "groups"',
    "require nothing": '[corp]\nissuer = "https://x"\nrequire = { groups = [] }',
    "require table": '[corp]\nissuer = "https://x"\nrequire = { groups = { a = 1 } }',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSetting) as problem:
        read(tmp_path, text)
    assert problem.value.remedy
    assert "issuers.toml" in problem.value.detail


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadSetting):
        Settings.from_env({"A2A_ISSUERS": str(tmp_path / "nothing.toml")})


# --- a2a.toml -------------------------------------------------------------------------------------------


def agent(folder: Path, more: str) -> Path:
    (folder / "a2a.toml").write_text(f'name = "desk"\n{more}')
    (folder / "agent.py").write_text("")
    return folder


def test_an_agent_names_issuers(tmp_path: Path) -> None:
    assert read_manifest(agent(tmp_path, "")).issuers == ()
    assert read_manifest(agent(tmp_path, '[auth]\nissuers = ["corp", "ops", "corp"]')).issuers == (
        *("corp", "ops"),
    )


@pytest.mark.parametrize(
    "text",
    [
        'issuers = "corp"',
        "issuers = [5]",
        'issuers = ["Corp"]',
        'issuers = ["https://x"]',
        'issuer = ["corp"]',
    ],
)
def test_what_an_agent_can_not_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidParams) as problem:
        read_manifest(agent(tmp_path, f"[auth]\n{text}"))
    assert problem.value.remedy
