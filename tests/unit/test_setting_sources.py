"""Where settings come from: environment, file, files of secrets; what is refused; what is shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.settings import Settings, load

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str, name: str = "a2a-cloud.toml") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def sources(settings: Settings) -> dict[str, tuple[str, str]]:
    return {one.name: (one.value, one.source) for one in settings.told}


def test_the_file_says_what_variables_say(here: Path) -> None:
    path = written(
        here,
        'host = "::1"\nport = 9000\nallowed_hosts = ["a.example", "*.b.example"]\ndev = true\nidle = 0\n'
        '[grpc]\nport = "off"\n[http]\nhead-seconds = 2.5\nhead_bytes = 4096\n[keep]\nlogs_days = 7\n',
    )
    settings = load({})
    assert (settings.host, settings.port, settings.grpc_port, settings.dev) == ("::1", 9000, None, True)
    assert (settings.http.head_seconds, settings.http.head_bytes, settings.idle) == (2.5, 4096, 0.0)
    assert settings.allowed_hosts == ("a.example", "*.b.example")
    assert settings.keeping.logs == 7 * 86_400
    assert settings.config == path
    assert sources(settings)["A2A_PORT"] == ("9000", str(path))
    assert sources(settings)["A2A_GRANT_DEPTH"] == ("9", "default")


def test_the_environment_comes_before_the_file(here: Path) -> None:
    written(here, "port = 9000\n")
    settings = load({"A2A_PORT": "9001"})
    assert settings.port == 9001
    assert sources(settings)["A2A_PORT"] == ("9001", "environment")


def test_a_named_file_and_its_relative_paths(here: Path) -> None:
    inside = here / "etc"
    inside.mkdir()
    written(inside, 'data = "state"\n', "platform.toml")
    assert load({"A2A_CONFIG": "etc/platform.toml"}).data == inside / "state"
    assert load({"A2A_CONFIG": "etc/platform.toml", "A2A_DATA": "mine"}).data == here / "mine"
    assert load({}).data == here / ".a2a"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 9000", "Did you mean port?"),
        ("[http]\nhead_byte = 1", "Did you mean http_head_bytes?"),
        ("port = 9000\nport = 9001", "can't be read"),
        ("port = [1, 2]", "of a kind that no setting has"),
        ("port = 99999", "Write a port"),
        ("http_head_bytes = 4096\n[http]\nhead_bytes = 4096", "twice"),
        ("\xff", "can't be read"),
        ("when = 2026-01-01", "of a kind that no setting has"),
    ],
    ids=["typo", "typo-inside", "toml", "list", "value", "twice", "bytes", "date"],
)
def test_what_the_file_may_not_say(here: Path, text: str, words: str) -> None:
    (here / "a2a-cloud.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadSetting) as caught:
        load({})
    assert words in caught.value.detail + caught.value.remedy


def test_a_file_that_is_named_has_to_be_there(here: Path) -> None:
    with pytest.raises(BadSetting, match="no such file"):
        load({"A2A_CONFIG": "none.toml"})


def test_secrets_come_from_files_of_their_own_and_are_never_shown(here: Path) -> None:
    (here / "hook").write_text("0123456789abcdef\n")
    settings = load({"A2A_APPROVALS_WEBHOOK_SECRET_FILE": "hook"})
    assert settings.approvals_secret == "0123456789abcdef"
    value, source = sources(settings)["A2A_APPROVALS_WEBHOOK_SECRET"]
    assert (value, source) == ("(secret)", f"environment, the file {here / 'hook'}")
    written(here, '[approvals]\nwebhook_secret_file = "hook"\n')
    settings = load({})
    assert settings.approvals_secret == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings) + repr(settings.told)


def test_a_secret_in_a_file_that_others_read_is_refused(here: Path) -> None:
    path = written(here, '[approvals]\nwebhook_secret = "0123456789abcdef"\n')
    assert load({}).approvals_secret == "0123456789abcdef"
    path.chmod(0o644)
    with pytest.raises(BadSetting) as caught:
        load({})
    assert "chmod 600" in caught.value.remedy
    assert "0123456789abcdef" not in caught.value.detail


@pytest.mark.parametrize(
    "environ",
    [
        {"A2A_APPROVALS_WEBHOOK_SECRET_FILE": "none"},
        {"A2A_APPROVALS_WEBHOOK_SECRET_FILE": "."},
        {"A2A_APPROVALS_WEBHOOK_SECRET_FILE": "hook", "A2A_APPROVALS_WEBHOOK_SECRET": "0123456789abcdef"},
    ],
    ids=["none", "folder", "both"],
)
def test_files_of_secrets_that_do_not_do(here: Path, environ: dict[str, str]) -> None:
    (here / "hook").write_text("0123456789abcdef")
    with pytest.raises(BadSetting):
        load(environ)


def test_a_bad_secret_is_not_repeated() -> None:
    with pytest.raises(BadSetting) as caught:
        load({"A2A_OTLP_HEADERS": "hunter2"})
    assert "hunter2" not in caught.value.detail + caught.value.remedy


def test_passwords_in_addresses_are_masked(here: Path) -> None:
    settings = load({"A2A_OBJECTS": "s3://ada:hunter2@bucket/prefix"})
    assert sources(settings)["A2A_OBJECTS"][0] == "s3://(secret)@bucket/prefix"


def test_variables_that_nobody_reads_are_told(here: Path) -> None:
    told = sources(load({"A2A_ALOWED_HOSTS": "x", "A2A_URL": "http://x", "A2A_CONFIG": ""}))
    assert told["A2A_ALOWED_HOSTS"] == ("", "environment, and read by nobody")
    assert "A2A_URL" not in told


def test_config_show_here(here: Path) -> None:
    written(here, "port = 9000\n")
    words = [sys.executable, "-m", "a2a_cloud.callers.cli", "config", "show", "--here"]
    env = {"PYTHONPATH": str(SOURCE), "PATH": "/bin", "HOME": str(here)}
    done = subprocess.run(words, env=env, cwd=here, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "A2A_PORT" in done.stdout
    assert "a2a-cloud.toml" in done.stdout
    written(here, "prot = 9000\n")
    done = subprocess.run(words, env=env, cwd=here, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Did you mean port?" in done.stderr
