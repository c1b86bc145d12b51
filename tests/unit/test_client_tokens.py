"""Where the tokens of a sign-in are kept: a file, the desktop's secret service; what a broken one does."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from a2a_cloud.client.profile import NotConfigured, resolve, write_profile
from a2a_cloud.client.tokens import SignIn, Tokens, best_store

HERE = "http://127.0.0.1:9"
TOKENS = Tokens(HERE, "a2a-cli", f"{HERE}/token", f"{HERE}/revoke", "acc-1", "ref-1", time.time() + 86_400)

#: libsecret's program as its manual says it: `store` reads a secret, `lookup` writes it, `clear` forgets it.
SECRET_TOOL = f"""#!{sys.executable}
import json, os, sys
file = os.environ["SECRETS"]
known = json.load(open(file)) if os.path.exists(file) else {{}}
verb, words = sys.argv[1], [each for each in sys.argv[2:] if not each.startswith("--label=")]
assert "acc-1" not in " ".join(sys.argv) and len(words) % 2 == 0
key = json.dumps(words)
if os.environ.get("LOCKED"):
    sys.exit("cannot create an item: the keyring is locked")
if verb == "store":
    known[key] = sys.stdin.read()
elif verb == "lookup":
    if key not in known:
        sys.exit(1)
    sys.stdout.write(known[key])
elif verb == "clear":
    known.pop(key, None)
json.dump(known, open(file, "w"))
"""


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("A2A_TOKENS", "DBUS_SESSION_BUS_ADDRESS", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return {"HOME": str(tmp_path)}


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "secret-tool"
    program.parent.mkdir()
    program.write_text(SECRET_TOOL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    monkeypatch.setenv("SECRETS", str(tmp_path / "secrets.json"))
    return tmp_path / "secrets.json"


@pytest.mark.parametrize("name", ["work", "agents.example.com", "a b/../c", "ü"])
def test_a_file_that_only_its_owner_reads(env: dict[str, str], tmp_path: Path, name: str) -> None:
    kept = SignIn(name, HERE, "file", env)
    umask = os.umask(0)
    try:
        kept.keep(TOKENS)
    finally:
        os.umask(umask)
    (file,) = (tmp_path / ".config" / "a2a" / "tokens").glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SignIn(name, HERE, "file", env).access() == "acc-1"
    kept.forget()
    assert not file.exists()
    with pytest.raises(NotConfigured, match="signed out"):
        kept.access()


def test_names_of_profiles_are_files_of_their_own(env: dict[str, str]) -> None:
    names = ["a/b", "a.b", "a b", "a_b"]
    for name in names:
        SignIn(name, HERE, "file", env).keep(replace(TOKENS, access=name))
    assert [SignIn(name, HERE, "file", env).access() for name in names] == names


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": 5}', json.dumps({**asdict(TOKENS), "x": 1})])
def test_what_is_no_sign_in(env: dict[str, str], tmp_path: Path, text: str) -> None:
    kept = SignIn("work", HERE, "file", env)
    kept.keep(TOKENS)
    (file,) = (tmp_path / ".config" / "a2a" / "tokens").glob("*.json")
    file.write_text(text)
    with pytest.raises(NotConfigured, match="signed out") as problem:
        SignIn("work", HERE, "file", env).access()
    assert "a2a login" in problem.value.remedy


def test_a_token_that_ends_and_nobody_to_renew_it(env: dict[str, str]) -> None:
    kept = SignIn("work", HERE, "file", env)
    kept.keep(replace(TOKENS, expires=time.time() + 5))
    with pytest.raises(NotConfigured, match="can't be renewed"):
        kept.access()
    assert kept.tokens().refresh == "ref-1"  # It is not lost: the platform may come back.


def test_the_secret_service(env: dict[str, str], keyring: Path, tmp_path: Path) -> None:
    assert best_store(os.environ) == "secret-service"
    kept = SignIn("work", HERE, "secret-service", env)
    kept.keep(TOKENS)
    SignIn("other", HERE, "secret-service", env).keep(replace(TOKENS, access="acc-2"))
    assert SignIn("work", HERE, "secret-service", env).access() == "acc-1"
    assert SignIn("other", HERE, "secret-service", env).access() == "acc-2"
    kept.forget()
    assert "acc-1" not in keyring.read_text()
    assert "acc-1" not in "".join(path.read_text() for path in (tmp_path / ".config").rglob("*.json"))


def test_a_secret_service_that_is_locked(
    env: dict[str, str], keyring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKED", "1")
    assert best_store(os.environ) == "file"
    with pytest.raises(NotConfigured, match="the keyring is locked"):
        SignIn("work", HERE, "secret-service", env).keep(TOKENS)


def test_who_wants_a_file_gets_one(env: dict[str, str], keyring: Path) -> None:
    assert best_store({**os.environ, "A2A_TOKENS": "file"}) == "file"
    assert best_store(env) == "file"


def test_a_token_goes_to_its_own_platform_alone(env: dict[str, str]) -> None:
    SignIn("work", HERE, "file", env).keep(TOKENS)
    write_profile("work", {"url": HERE, "login": "file"}, env=env)
    for given in ({"profile": "work"}, {"url": HERE}):
        target = resolve(env=env, **given)
        assert (target.key, target.note) == ("acc-1", "the sign-in of the profile work")
    for url in ("http://127.0.0.1:10", "https://127.0.0.1:9", "http://localhost:9"):
        assert resolve(env=env, url=url).key == ""
        assert resolve(env=env, url=url, profile="work").key == ""
    assert resolve(env=env, url=HERE, key="mine").key == "mine"


def test_an_unknown_kind_of_store(env: dict[str, str]) -> None:
    write_profile("work", {"url": HERE, "login": "wallet"}, env=env)
    with pytest.raises(NotConfigured, match="unknown here"):
        resolve(env=env, profile="work")
