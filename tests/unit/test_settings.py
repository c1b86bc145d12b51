"""Settings out of the environment: defaults, good values, and refusals that say what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.settings import HttpLimits, Settings, load


def test_nothing_set_gives_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env({"A2A_PORT": "", "PATH": "/bin"})
    assert settings == Settings(data=tmp_path / ".a2a", grpc_port=8081)
    assert (settings.host, settings.port, settings.http) == ("127.0.0.1", 8080, HttpLimits())


def test_values_are_taken(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {
            "A2A_HOST": " [::1] ",
            "A2A_PORT": "0",
            "A2A_DATA": str(tmp_path / "a" / ".." / "b"),
            "A2A_ALLOWED_HOSTS": "Agents.Example.com., *.example.org,,[::1],10.0.0.1",
            "A2A_PUBLIC_URL": "https://agents.example.com:8443/base/",
            "A2A_HTTP_HEAD_SECONDS": "2.5",
            "A2A_HTTP_CONNECTIONS": "100",
        }
    )
    assert (settings.host, settings.port, settings.data) == ("::1", 0, tmp_path / "b")
    assert settings.allowed_hosts == ("agents.example.com", "*.example.org", "::1", "10.0.0.1")
    assert settings.public_url == "https://agents.example.com:8443/base"
    assert settings.http == HttpLimits(head_seconds=2.5, connections=100)


@pytest.mark.parametrize(
    ("environ", "port", "exact"),
    [
        ({}, 8081, False),
        ({"A2A_PORT": "9000"}, 9001, False),
        ({"A2A_PORT": "0"}, 0, False),
        ({"A2A_PORT": "65535"}, 0, False),
        ({"A2A_GRPC_PORT": "50051"}, 50051, True),
        ({"A2A_GRPC_PORT": "0"}, 0, True),
        ({"A2A_GRPC_PORT": "off"}, None, True),
    ],
    ids=["unset", "beside", "free", "last", "named", "named-free", "off"],
)
def test_the_port_of_grpc(environ: dict[str, str], port: int | None, exact: bool) -> None:
    settings = Settings.from_env(environ)
    assert (settings.grpc_port, settings.grpc_exact) == (port, exact)


def test_the_data_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    assert Settings.from_env({"A2A_DATA": "here"}).data == tmp_path / "here"
    assert Settings.from_env({"A2A_DATA": "~/there"}).data == Path("/home/ada/there")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("A2A_PORT", "http"),
        ("A2A_PORT", "-1"),
        ("A2A_PORT", "65536"),
        ("A2A_PORT", "8080.5"),
        ("A2A_PORT", "٨٠٨٠"),
        ("A2A_PORT", "9" * 5000),
        ("A2A_GRPC_PORT", "on"),
        ("A2A_GRPC_PORT", "65536"),
        ("A2A_GRPC_URL", "two words"),
        ("A2A_GRPC_URL", ":443"),
        ("A2A_HOST", "127.0.0.1:8080"),
        ("A2A_HOST", "http://localhost"),
        ("A2A_HOST", "two words"),
        ("A2A_ALLOWED_HOSTS", "good.example, bad_host:80"),
        ("A2A_ALLOWED_HOSTS", "*"),
        ("A2A_ALLOWED_HOSTS", "http://x"),
        ("A2A_PUBLIC_URL", "agents.example.com"),
        ("A2A_PUBLIC_URL", "ftp://agents.example.com"),
        ("A2A_PUBLIC_URL", "https://a/?x=1"),
        ("A2A_PUBLIC_URL", "https://user@a/"),
        ("A2A_PUBLIC_URL", "https://a:port/"),
        ("A2A_PUBLIC_URL", "https://[::1/"),
        ("A2A_HTTP_HEAD_SECONDS", "soon"),
        ("A2A_HTTP_HEAD_SECONDS", "0"),
        ("A2A_HTTP_HEAD_SECONDS", "nan"),
        ("A2A_HTTP_CONNECTIONS", "0"),
        ("A2A_HTTP_BODY_BYTES", "1 GB"),
        ("A2A_SANDBOX", "docker"),
        ("A2A_IDLE", "soon"),
        ("A2A_IDLE", "0.5"),
        ("A2A_IDLE", "9999999"),
        ("A2A_DATA", "a\0b"),
        ("A2A_DATA", "~no-such-person/x"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_what_to_write(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Settings.from_env({name: value})
    assert name in caught.value.detail
    assert caught.value.remedy.startswith("Write ")
    assert len(caught.value.detail) < 300


def test_how_agents_are_kept_apart() -> None:
    assert (Settings().sandbox, Settings().idle) == ("", 900.0)
    settings = Settings.from_env({"A2A_SANDBOX": "jail", "A2A_IDLE": "0"})
    assert (settings.sandbox, settings.idle) == ("jail", 0.0)
    assert Settings.from_env({}).idle == 900.0


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSetting):
        Settings.from_env({"A2A_DATA": str(tmp_path / "file")})


def test_every_variable_is_in_the_docs() -> None:
    root = Path(__file__).parents[2]
    read = {told.name for told in load({}).told}
    documented = set(
        re.findall(r"^\| `(A2A_[A-Z0-9_]+)`", (root / "docs/settings.md").read_text(), re.MULTILINE)
    )
    assert documented == read
