"""Where the platform is, and that a key goes only to the origin it is for."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_cloud.client.profile import (
    NotConfigured,
    origin,
    profiles_path,
    read_profiles,
    resolve,
    write_local_profile,
)

HERE, THERE = "http://127.0.0.1:8080", "https://agents.example.com"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}


def key(folder: Path, text: str, name: str = "admin.key") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text + "\n")
    return folder / name


def data(folder: Path, url: str, text: str) -> str:
    key(folder, text)
    (folder / "server.json").write_text(json.dumps({"url": url, "pid": 1}))
    return str(folder)


def test_nothing_is_known(env: dict[str, str]) -> None:
    with pytest.raises(NotConfigured) as caught:
        resolve(env=env)
    assert "a2a up" in caught.value.remedy


def test_order(env: dict[str, str], tmp_path: Path) -> None:
    write_local_profile("http://localhost:1/", key(tmp_path / "one", "k-local"), env=env)
    target = resolve(env=env)
    assert (target.url, target.key) == ("http://localhost:1", "k-local")
    env["A2A_DATA"] = data(tmp_path / "two", "http://localhost:2", "k-data")
    assert (resolve(env=env).url, resolve(env=env).key) == ("http://localhost:2", "k-data")
    env |= {"A2A_URL": "http://localhost:3", "A2A_KEY": "k-env"}
    assert (resolve(env=env).url, resolve(env=env).key) == ("http://localhost:3", "k-env")
    env["A2A_PROFILE"] = "local"
    assert (resolve(env=env).url, resolve(env=env).key) == ("http://localhost:1", "k-local")
    target = resolve(env=env, url="http://localhost:4", key="k-flag")
    assert (target.url, target.key) == ("http://localhost:4", "k-flag")


def test_a_key_is_for_its_origin(env: dict[str, str], tmp_path: Path) -> None:
    write_local_profile(HERE, key(tmp_path / "one", "k-local"), env=env)
    assert resolve(env=env, url=THERE).key == ""
    assert resolve(env=env, url=HERE).key == "k-local"
    assert resolve(env=env, url="http://127.0.0.1:8081").key == ""
    assert resolve(env=env, url="https://127.0.0.1:8080").key == ""
    env |= {"A2A_URL": THERE, "A2A_KEY": "k-env"}
    assert resolve(env=env).key == "k-env"
    assert resolve(env=env, url="https://agents.example.com:443/x").key == "k-env"
    target = resolve(env=env, url="https://evil.example")
    assert target.key == ""
    assert "A2A_KEY" in target.note
    assert resolve(env=env, profile="local").key == "k-local"


def test_a_key_without_an_address_is_for_the_platform_of_the_command(
    env: dict[str, str], tmp_path: Path
) -> None:
    write_local_profile(HERE, key(tmp_path / "one", "k-local"), env=env)
    env["A2A_KEY"] = "k-alice"
    assert resolve(env=env).key == "k-alice"


@pytest.mark.parametrize(
    "bad", ["", "x", "ftp://a", "http://", "http://[", "http://a:99999", "http://u:p@a", "//a", "file:///x"]
)
def test_what_is_no_address(bad: str) -> None:
    with pytest.raises(NotConfigured):
        origin(bad)


def test_profiles_are_private_and_kept(env: dict[str, str], tmp_path: Path) -> None:
    path = profiles_path(env)
    path.parent.mkdir(parents=True)
    path.write_text('[other]\nurl = "http://x:1"\nkey_file = "/k"\n["a b"]\nurl = "http://y"\n')
    assert write_local_profile(HERE, "relative.key", env=env)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    profiles = read_profiles(env)
    assert profiles["other"] == {"url": "http://x:1", "key_file": "/k"}
    assert profiles["a b"] == {"url": "http://y"}
    assert profiles["local"] == {"url": HERE, "key_file": str(Path("relative.key").absolute())}
    assert not write_local_profile(HERE, "relative.key", env=env)
    assert [each.name for each in path.parent.iterdir()] == ["profiles.toml"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_path_can_be_kept(env: dict[str, str], name: str) -> None:
    write_local_profile(HERE, f"/keys/{name}x", env=env)
    kept = read_profiles(env)["local"]["key_file"]
    assert kept.endswith("x")
    assert not write_local_profile(HERE, kept, env=env)


def test_broken_files_are_named(env: dict[str, str], tmp_path: Path) -> None:
    path = profiles_path(env)
    path.parent.mkdir(parents=True)
    path.write_text("not toml")
    with pytest.raises(NotConfigured, match=r"profiles\.toml"):
        resolve(env=env)
    path.unlink()
    env["A2A_DATA"] = str(tmp_path / "data")
    with pytest.raises(NotConfigured, match=r"server\.json"):
        resolve(env=env)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.json").write_text("{")
    with pytest.raises(NotConfigured, match=r"server\.json"):
        resolve(env=env)
    with pytest.raises(NotConfigured, match="no profile"):
        resolve(env=env, profile="nobody")
    with pytest.raises(NotConfigured, match="key file"):
        resolve(env=env, url=HERE, key_file=str(tmp_path / "none"))
    with pytest.raises(NotConfigured, match="characters"):
        resolve(env=env, url=HERE, key="a\r\nX: y")


def test_a_relative_configuration_folder_does_not_count(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": "relative", "HOME": str(tmp_path)}
    assert profiles_path(env) == tmp_path / ".config" / "a2a" / "profiles.toml"
