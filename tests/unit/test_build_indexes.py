"""What the operator's configuration of uv lets a build reach, and what keeps it out of a cage."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from a2a_cloud.runtime.build.indexes import PYPI, read_indexes
from a2a_cloud.runtime.egress.hosts import barred


@pytest.mark.parametrize(
    ("environ", "hosts"),
    [
        ({}, {*PYPI}),
        ({"UV_INDEX": "https://a.example/simple"}, {*PYPI, ("a.example", 443)}),
        ({"UV_DEFAULT_INDEX": "https://A.example:8443/simple"}, {("a.example", 8443)}),
        ({"UV_DEFAULT_INDEX": "mine=http://a.example/simple"}, {("a.example", 80)}),
        ({"UV_INDEX_URL": "http://[::1]:3141/x"}, {("[::1]", 3141)}),
        (
            {"UV_NO_INDEX": "1", "UV_FIND_LINKS": "https://a.example/x,http://b.example"},
            {("a.example", 443), ("b.example", 80)},
        ),
        (
            {
                "UV_DEFAULT_INDEX": "https://a.example",
                "UV_EXTRA_INDEX_URL": "https://b.example/x?y=z https://c.example",
            },
            {("a.example", 443), ("b.example", 443), ("c.example", 443)},
        ),
    ],
)
def test_which_hosts_a_build_reaches(environ: dict[str, str], hosts: set[tuple[str, int]]) -> None:
    found = read_indexes(environ | {"UV_CONFIG_FILE": "/nonexistent/uv.toml"}, [("more.example", 1)])
    assert found.why == ""
    assert found.hosts == hosts | {("more.example", 1)}


def test_files_of_configuration_count(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    folder = tmp_path / "home" / ".config" / "uv"
    folder.mkdir(parents=True)
    (folder / "uv.toml").write_text(
        'index-url = "https://a.example/simple"\nfind-links = ["../../../wheels"]\n'
        '[[index]]\nname = "b"\nurl = "http://10.0.0.7:3141/b"\n[pip]\nextra-index-url = ["https://c.example"]\n'
    )
    found = read_indexes({"HOME": str(tmp_path / "home"), "UV_NATIVE_TLS": "1", "PATH": "/bin"})
    assert found.why == ""
    assert found.hosts == {("a.example", 443), ("10.0.0.7", 3141), ("c.example", 443)}
    assert [one.resolve() for one in found.shown] == [folder / "uv.toml", tmp_path / "wheels"]
    assert found.settings["XDG_CONFIG_HOME"] == str(folder.parent)
    assert found.settings["UV_NATIVE_TLS"] == "1"
    assert not {"HOME", "PATH"} & found.settings.keys()


def test_folders_and_certificates_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "roots.pem").touch()
    environ = {
        "UV_CONFIG_FILE": "/nonexistent",
        "UV_INDEX": f"x={(tmp_path / 'a b').as_uri()}",
        "SSL_CERT_FILE": str(tmp_path / "roots.pem"),
        "SSL_CERT_DIR": f"{tmp_path}:/nonexistent",
    }
    found = read_indexes(environ)
    assert set(found.shown) == {tmp_path, tmp_path / "a b", tmp_path / "roots.pem"}


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"UV_DEFAULT_INDEX": "https://me:secret@a.example/simple"}, "credentials"),
        ({"UV_INDEX": "x=https://secret@a.example/simple"}, "credentials"),
        ({"UV_FIND_LINKS": "https://me:secret@a.example"}, "credentials"),
        ({"UV_INDEX_X_PASSWORD": "secret"}, "credentials"),
        ({"UV_INDEX_X_USERNAME": "secret"}, "credentials"),
        ({"SSL_CLIENT_CERT": "/secret.pem"}, "key"),
        ({"UV_KEYRING_PROVIDER": "subprocess"}, "keyring"),
        ({"HTTPS_PROXY": "http://me:secret@p.example"}, "proxy"),
        ({"all_proxy": "socks5://p.example"}, "proxy"),
        ({"UV_HTTPS_PROXY": "http://p.example"}, "proxy"),
        ({"UV_OFFLINE": "true"}, "offline"),
        ({"UV_DEFAULT_INDEX": "ftp://a.example"}, "can't be read"),
        ({"UV_DEFAULT_INDEX": "https://2130706433/simple"}, "can't be read"),
    ],
)
def test_what_keeps_a_build_out_of_a_cage(environ: dict[str, str], word: str) -> None:
    found = read_indexes({"UV_CONFIG_FILE": "/nonexistent", **environ})
    assert word in found.why
    assert "secret@" not in found.why
    assert "me:secret" not in found.why


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('index-url = "https://me:secret@a.example"', "credentials"),
        ('[[index]]\nurl = "https://secret@a.example"', "credentials"),
        ('[pip]\nindex-url = "https://me:secret@a.example"', "credentials"),
        ('keyring-provider = "subprocess"', "keyring"),
        ('[pip]\nkeyring-provider = "subprocess"', "keyring"),
        ('https-proxy = "http://p.example"', "proxy"),
        ("offline = true", "offline"),
        ("index = 1", "can't be read"),
        ("not toml", "can't be read"),
    ],
)
def test_what_in_a_file_keeps_a_build_out_of_a_cage(tmp_path: Path, content: str, word: str) -> None:
    (tmp_path / "uv.toml").write_text(content)
    found = read_indexes({"UV_CONFIG_FILE": str(tmp_path / "uv.toml")})
    assert word in found.why
    assert "secret" not in found.why


def test_stored_credentials(tmp_path: Path) -> None:
    environ = {"UV_CONFIG_FILE": "/nonexistent", "HOME": str(tmp_path)}
    (tmp_path / ".netrc").write_text("machine elsewhere.example login me password secret\n")
    assert read_indexes(environ).why == ""
    for text in ("machine pypi.org login me password secret", "default login me password secret"):
        (tmp_path / ".netrc").write_text(text)
        why = read_indexes(environ).why
        assert "credentials" in why
        assert "secret" not in why
    (tmp_path / ".netrc").unlink()
    kept = tmp_path / ".local/share/uv/credentials"
    kept.mkdir(parents=True)
    (kept / "credentials.toml").touch()
    assert "credentials" in read_indexes(environ).why


@pytest.mark.parametrize(
    "text", ["203.0.113.80", "10.0.0.7", "127.0.0.1", "192.0.2.1", "::1", "fd00::1", "2001:db8::1"]
)
def test_an_index_may_have_any_of_these(text: str) -> None:
    assert not barred(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "::",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "ff02::1",
    ],
)
def test_and_none_of_these(text: str) -> None:
    assert barred(ip_address(text))
