"""a2a.toml: what it takes, and the sentence for each thing that it doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest

from a2a_cloud.control.registry.manifest import RESERVED, read_manifest
from a2a_cloud.model.grant import GrantSpec
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.release import Limits, SandboxSpec, SecretBinding, Visibility


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agent.py").write_text("")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    (folder / "a2a.toml").write_text(text)
    return folder


def refused(folder: Path, text: str) -> str:
    with pytest.raises(InvalidParams) as caught:
        read_manifest(write(folder, text))
    assert "a2a.toml" in caught.value.detail
    assert caught.value.remedy
    return caught.value.sentence


def test_the_least(folder: Path) -> None:
    manifest = read_manifest(write(folder, 'name = "reviewer"'))
    assert (manifest.name, manifest.entry, manifest.version) == ("reviewer", "agent.py", "0.1.0")
    assert manifest.visibility is Visibility.ORG
    assert manifest.limits == Limits()


def test_everything(folder: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "main.py").write_text("")
    manifest = read_manifest(
        write(
            folder,
            """
            name = "contract-reviewer"
            description = "Reviews."
            version = "1.2.0-rc.1"
            entry = "lib/main.py:agent"
            default_skill = "review"
            visibility = "public"
            anonymous_list = true
            documentation_url = "https://example.com/docs"
            icon_url = "https://example.com/i.png"
            [provider]
            name = "Example"
            url = "https://example.com"
            [limits]
            concurrency = 4
            workers = 2
            queue = 10
            timeout = 60
            start_timeout = 10.5
            memory = 268435456
            open_files = 64
            log_bytes = 1000
            artifact_bytes = 1000
            events = 50
            children = 2
            depth = 3
            """,
        )
    )
    assert manifest.provider_name == "Example"
    assert manifest.visibility is Visibility.PUBLIC
    assert manifest.limits == Limits(4, 2, 10, 60.0, 10.5, 1 << 28, 64, 1000, 1000, 50, 2, 3)
    assert type(manifest.limits.timeout) is float


def test_pyproject_when_there_is_no_a2a_toml(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[project]\nname="x"\n[tool.a2a]\nname = "from-pyproject"\n')
    assert read_manifest(folder).name == "from-pyproject"
    (folder / "pyproject.toml").write_text('[tool.a2a]\nname = "x"\nnam = 1\n')
    with pytest.raises(InvalidParams, match=r"pyproject.toml \[tool.a2a\] has an unknown key `nam`"):
        read_manifest(folder)
    write(folder, 'name = "from-a2a"')
    assert read_manifest(folder).name == "from-a2a"


@pytest.mark.parametrize("pyproject", [None, "[project]\n", "tool = 3", "[tool]\na2a = 3"])
def test_no_manifest(folder: Path, pyproject: str | None) -> None:
    if pyproject is not None:
        (folder / "pyproject.toml").write_text(pyproject)
    with pytest.raises(InvalidParams) as caught:
        read_manifest(folder)
    assert "Write a file a2a.toml with name = " in caught.value.remedy
    with pytest.raises(InvalidParams, match="no folder"):
        read_manifest(folder / "absent")


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ('nam = "x"', "nam", "Did you mean `name`?"),
        ('name = "x"\nvisiblity = "org"', "visiblity", "Did you mean `visibility`?"),
        ('name = "x"\ndefault-skill = "a"', "default-skill", "Did you mean `default_skill`?"),
        ('name = "x"\n[limits]\nconcurency = 3', "limits.concurency", "Did you mean `limits.concurrency`?"),
        ('name = "x"\n[limit]\nconcurrency = 3', "limit", "Did you mean `limits`?"),
        ('name = "x"\ntimeout = 3', "timeout", "Did you mean `limits.timeout`?"),
        ('name = "x"\n[provider]\nwww = "x"', "provider.www", "It takes `provider.name`, `provider.url`."),
    ],
)
def test_an_unknown_key_gets_the_nearest_right_one(folder: Path, text: str, key: str, meant: str) -> None:
    sentence = refused(folder, text)
    assert f"`{key}`" in sentence
    assert meant in sentence


@pytest.mark.parametrize("name", ["Review", "1a", "a.b", "", "a" * 64, "a b", "-a", "ä", "a/b", "a\\n"])
def test_bad_names(folder: Path, name: str) -> None:
    assert "`name`" in refused(folder, f'name = "{name}"')


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_names(folder: Path, name: str) -> None:
    assert f'name = "{name}-agent"' in refused(folder, f'name = "{name}"')


@pytest.mark.parametrize("name", ["a", "contract_reviewer", "a" * 63, "a-1"])
def test_good_names(folder: Path, name: str) -> None:
    assert read_manifest(write(folder, f'name = "{name}"')).name == name


@pytest.mark.parametrize(
    ("line", "write_this"),
    [
        ("description = 3", 'description = "…"'),
        ("version = 1.2", 'version = "1.2.0"'),
        ('version = "new"', 'version = "1.2.0"'),
        ('visibility = "private"', 'visibility = "public"'),
        ('anonymous_list = "yes"', "anonymous_list = true"),
        ('documentation_url = "example.com"', 'documentation_url = "https://…"'),
        ('icon_url = "javascript:alert(1)"', 'icon_url = "https://…"'),
        ('provider = "me"', "[provider]"),
        ("entry = 3", 'entry = "agent.py:agent"'),
        ('entry = "/etc/agent.py"', 'entry = "agent.py"'),
        ('entry = "../agent.py"', 'entry = "agent.py"'),
        ('entry = "a-b"', 'entry = "agent.py"'),
        ("[limits]\nworkers = 0", "workers = 1"),
        ("[limits]\nworkers = 1.5", "workers = 1"),
        ("[limits]\nconcurrency = true", "concurrency = 16"),
        ("[limits]\ntimeout = nan", "timeout = 300.0"),
        ("[limits]\ntimeout = 1e9", "timeout = 300.0"),
        ('[limits]\nmemory = "1G"', "memory = 1073741824"),
    ],
)
def test_wrong_values_say_what_to_write(folder: Path, line: str, write_this: str) -> None:
    assert write_this in refused(folder, f'name = "x"\n{line}')


def test_a_missing_entry(folder: Path) -> None:
    assert 'entry = "agent.py"' in refused(folder, 'name = "x"\nentry = "main.py"')
    (folder / "agent.py").unlink()
    assert "Make agent.py" in refused(folder, 'name = "x"')


def test_entries_that_are_modules(folder: Path) -> None:
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text("")
    (folder / "pack" / "inner.py").write_text("")
    for entry in ("pack", "pack.inner", "pack:agent", "agent:agent"):
        assert read_manifest(write(folder, f'name = "x"\nentry = "{entry}"')).entry == entry
    assert "is not in" in refused(folder, 'name = "x"\nentry = "pack.absent"')


def test_what_is_no_toml(folder: Path) -> None:
    with pytest.raises(InvalidParams, match="not valid TOML"):
        read_manifest(write(folder, "name = "))
    (folder / "a2a.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidParams, match="not UTF-8"):
        read_manifest(folder)


def test_a_missing_name_suggests_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "My Agent 2"
    folder.mkdir()
    (folder / "agent.py").write_text("")
    assert 'name = "my-agent-2"' in refused(folder, "")


# --- [grant], [sandbox], [secrets] ------------------------------------------------------------------


def test_isolation_grant_and_secrets(folder: Path) -> None:
    manifest = read_manifest(
        write(
            folder,
            """
            name = "reviewer"
            [limits]
            cpu = 0.5
            pids = 64
            tmp_bytes = 1048576
            [grant]
            read = ["contracts/**"]
            egress = ["api.example.com"]
            [sandbox]
            require = "jail"
            isolation = "run"
            idle = 60
            [secrets]
            PRICES = { host = "api.example.com:443", header = "X-Key", format = "{}" }
            MAIL_KEY = { host = "mail.example.com:8443" }
            """,
        )
    )
    assert manifest.limits == Limits(cpu=0.5, pids=64, tmp_bytes=1 << 20)
    assert manifest.grant == GrantSpec(read=("contracts/**",), egress=("api.example.com",))
    assert manifest.sandbox == SandboxSpec("jail", "run", spares=1, idle=60.0)
    assert manifest.secrets == (
        SecretBinding("PRICES", "api.example.com", "X-Key", "{}"),
        SecretBinding("MAIL_KEY", "mail.example.com:8443", "Authorization", "Bearer {}"),
    )


def test_whose_word_is_the_last_in_a_workspace(folder: Path) -> None:
    assert read_manifest(write(folder, 'name = "r"')).merge == "refuse"
    for merge in ("refuse", "last-writer"):
        assert read_manifest(write(folder, f'name = "r"\n[workspace]\nmerge = "{merge}"')).merge == merge
    assert read_manifest(write(folder, 'name = "r"\nlimits.upload_bytes = 7')).limits.upload_bytes == 7


def test_what_says_nothing_of_isolation_shares_its_workers(folder: Path) -> None:
    manifest = read_manifest(write(folder, 'name = "reviewer"'))
    assert manifest.sandbox == SandboxSpec()
    assert (manifest.sandbox.isolation, manifest.sandbox.spares, manifest.sandbox.idle) == ("shared", 0, 0.0)
    spares = read_manifest(write(folder, 'name = "r"\n[sandbox]\nisolation = "caller"\nspares = 0')).sandbox
    assert spares.spares == 0


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('sandbox.require = "gvisor"', "sandbox.require", 'require = "jail"'),
        ('sandbox.isolation = "none"', "sandbox.isolation", 'isolation = "run"'),
        ('workspace.merge = "first"', "workspace.merge", 'merge = "last-writer"'),
        ("workspace.merge = true", "workspace.merge", 'merge = "refuse"'),
        ('workspace.name = "x"', "workspace.name", "`workspace.merge`"),
        ('merge = "refuse"', "merge", "`workspace.merge`"),
        ("workspace = 3", "workspace", "[workspace]"),
        ("limits.upload_bytes = -1", "limits.upload_bytes", "upload_bytes = 34359738368"),
        ("sandbox.spares = 17", "sandbox.spares", "0 to 16"),
        ("sandbox.spares = true", "sandbox.spares", "0 to 16"),
        ("sandbox.idle = 0.5", "sandbox.idle", "0 for the platform's own"),
        ("sandbox.require_jail = true", "sandbox.require_jail", "`sandbox.require`"),
        ('isolation = "run"', "isolation", "`sandbox.isolation`"),
        ("pids = 5", "pids", "`limits.pids`"),
        ("limits.cpu = -1", "limits.cpu", "cores"),
        ("limits.pids = 1", "limits.pids", "from 8"),
        ("limits.tmp_bytes = 0", "limits.tmp_bytes", "tmp_bytes = 67108864"),
        ('grant.reads = ["a/**"]', "grant.reads", "`grant.read`"),
        ('grant.egress = ["HTTPS://x"]', "grant.egress", "api.example.com"),
        ('secrets.K.host = "*.example.com"', "secrets.K.host", "without `*`"),
        ('secrets.K.host = "API.example.com"', "secrets.K.host", "host ="),
        ('secrets.K.host = "example.com:0"', "secrets.K.host", "host ="),
        ('secrets.K.host = "https://example.com"', "secrets.K.host", "host ="),
        ('secrets.K.header = "X-Key"', "secrets.K", "a table"),
        ('secrets.K = {host = "a.example", header = "Host"}', "secrets.K.header", "Authorization"),
        ('secrets.K = {host = "a.example", header = "Content-Length"}', "secrets.K.header", "header ="),
        ('secrets.K = {host = "a.example", header = "X Key"}', "secrets.K.header", "header ="),
        ('secrets.K = {host = "a.example", header = "X:"}', "secrets.K.header", "header ="),
        ('secrets.K = {host = "a.example", format = "{} {}"}', "secrets.K.format", "one {}"),
        ('secrets.K = {host = "a.example", format = "{}\\r\\nX: y"}', "secrets.K.format", "one {}"),
        ('secrets.K = {host = "a.example", value = "x"}', "secrets.K.value", "`secrets.K.host`"),
        ('secrets."a-b" = {host = "a.example"}', "secrets.a-b", "letters, digits"),
        (
            'secrets.A = {host = "a.example", header = "X-Key"}\n'
            'secrets.B = {host = "a.example:443", header = "x-key"}',
            "secrets.B",
            "Take one of them out",
        ),
    ],
)
def test_a_line_of_these_tables_that_can_not_be_used(folder: Path, text: str, key: str, said: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_manifest(write(folder, f'name = "r"\n{text}'))
    assert f"`{key}`" in caught.value.detail
    assert caught.value.info["key"].startswith(key.rpartition(".")[0] or key)
    assert said in caught.value.sentence


@pytest.mark.parametrize(
    "line", ['"sk-live-1234567890"', '{host = "a.example", format = "sk-live-1234567890"}']
)
def test_a_secret_that_stands_in_the_file_itself_is_not_repeated(folder: Path, line: str) -> None:
    assert "sk-live" not in refused(folder, f'name = "r"\nsecrets.K = {line}')


def test_who_sees_it_and_what_a_skill_asks_for(folder: Path) -> None:
    text = 'name = "a"\nvisibility = ["globex", "initech", "globex"]\n'
    text += '[skills.pay]\nrequire = ["invoices.pay"]'
    manifest = read_manifest(write(folder, text))
    assert (manifest.visibility, manifest.visible_to) == (Visibility.ORG, ("globex", "initech"))
    assert manifest.skills["pay"].require == ("invoices.pay",)
    signed = read_manifest(write(folder, 'name = "a"\nvisibility = "signed-in"'))
    assert signed.visibility is Visibility.SIGNED_IN


@pytest.mark.parametrize(
    "line",
    ["visibility = []", 'visibility = ["Not An Org"]', 'visibility = "private"', "visibility = [1]"],
)
def test_who_else_can_not_be_said(folder: Path, line: str) -> None:
    assert 'visibility = ["acme"]' in refused(folder, f'name = "a"\n{line}')


@pytest.mark.parametrize("line", ["require = 3", 'require = "x"', 'require = ["A B"]', "requires = []"])
def test_what_a_skill_can_not_ask_for(folder: Path, line: str) -> None:
    assert "require" in refused(folder, f'name = "a"\n[skills.pay]\n{line}')
