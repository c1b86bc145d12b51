"""The kit's wheel, what is on record about an environment, and uv's failures in our words."""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path

import pytest

import a2a_cloud
from a2a_cloud.runtime.build import BuiltEnvironment, Interpreter, Package, kit_wheel, provenance, sbom
from a2a_cloud.runtime.build.environment import EnvironmentRecord
from a2a_cloud.runtime.build.failures import explain, redacted
from a2a_cloud.runtime.build.place import LOCK, RECORD, Place

DIGEST, SOURCE = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def built(**changes: object) -> BuiltEnvironment:
    fields = {
        "digest": DIGEST,
        "lock_digest": "sha256:" + "3" * 64,
        "packages": (
            Package(name="msgspec", version="0.22.0", hashes=("sha256:" + "4" * 64,), license="BSD-3-Clause"),
            Package(
                name="two",
                version="1!2.0+x",
                hashes=("sha256:" + "5" * 64, "sha256:" + "6" * 64),
                license="Apache-2.0 OR MIT",
                requires=("msgspec",),
            ),
            Package(name="three", version="3", license="Our own license"),
        ),
        "kit": Package(
            name="a2a-cloud", version="0.1.0+k1", hashes=("sha256:" + "7" * 64,), requires=("msgspec",)
        ),
        "interpreter": Interpreter("cpython", "3.11.7", "linux-x86_64", "cpython-311"),
        "uv": "0.13.9",
        "python": Path("/x/bin/python"),
        "lock": b"",
    }
    return BuiltEnvironment(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_kit_has_the_same_bytes_for_the_same_code(tmp_path: Path) -> None:
    one, other = kit_wheel(tmp_path / "a"), kit_wheel(tmp_path / "b" / "c")
    assert one.read_bytes() == other.read_bytes()
    assert re.fullmatch(
        rf"a2a_cloud-{re.escape(a2a_cloud.__version__)}\+k[0-9a-f]{{16}}-py3-none-any\.whl", one.name
    )
    os.utime(one, (1, 1))
    assert kit_wheel(tmp_path / "a") == one
    assert one.stat().st_mtime == 1
    one.write_bytes(b"cut off")
    assert kit_wheel(tmp_path / "a").read_bytes() == other.read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [one.name]


def test_what_the_kit_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(kit_wheel(tmp_path)) as wheel:
        names = wheel.namelist()
        info = next(name for name in names if name.endswith("/METADATA")).rpartition("/")[0]
        assert "Requires-Dist: msgspec>=0.20,<1\n" in wheel.read(f"{info}/METADATA").decode()
        recorded = [line.split(",")[0] for line in wheel.read(f"{info}/RECORD").decode().splitlines()]
        assert all(entry.date_time == (1980, 1, 1, 0, 0, 0) for entry in wheel.infolist())
    assert recorded == names
    ours = {name.removeprefix("a2a_cloud/") for name in names if not name.startswith(info)}
    source = Path(a2a_cloud.__file__).parent
    assert {"__init__.py", "py.typed", "wire/__init__.py", "wire/worker.py"} <= ours
    assert {path.relative_to(source).as_posix() for path in source.glob("agent/**/*.py")} <= ours
    assert not {name for name in ours if name.startswith(("surface", "storage", "callers", "ops", "app"))}
    assert not {name for name in ours if name.endswith((".pyc", "pool.py", "runs.py", "registry.py"))}


def test_a_bill_of_materials() -> None:
    bill = sbom(built(), name="agent", version="1.2.0", digest=SOURCE)
    assert bill == sbom(built(), name="agent", version="1.2.0", digest=SOURCE)
    whole = json.loads(bill)
    assert (whole["bomFormat"], whole["specVersion"], whole["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", whole["serialNumber"]
    )
    parts = {one["name"]: one for one in whole["components"]}
    assert list(parts) == ["cpython", "a2a-cloud", "msgspec", "two", "three"]
    assert parts["msgspec"]["hashes"] == [{"alg": "SHA-256", "content": "4" * 64}]
    assert parts["msgspec"]["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert parts["two"]["purl"] == "pkg:pypi/two@1!2.0%2Bx"
    assert len(parts["two"]["properties"]) == 2
    assert "hashes" not in parts["two"]
    assert parts["two"]["licenses"] == [{"expression": "Apache-2.0 OR MIT"}]
    assert parts["three"]["licenses"] == [{"license": {"name": "Our own license"}}]
    edges = {one["ref"]: one["dependsOn"] for one in whole["dependencies"]}
    root = whole["metadata"]["component"]["bom-ref"]
    assert edges[root] == [
        "python",
        "pkg:pypi/a2a-cloud@0.1.0%2Bk1",
        "pkg:pypi/two@1!2.0%2Bx",
        "pkg:pypi/three@3",
    ]
    assert edges["pkg:pypi/two@1!2.0%2Bx"] == ["pkg:pypi/msgspec@0.22.0"]
    assert set(edges) == {root, *(one["bom-ref"] for one in whole["components"])}
    another = json.loads(sbom(built(), name="agent", version="1.2.1", digest=SOURCE))
    assert another["serialNumber"] != whole["serialNumber"]


def test_a_statement_of_provenance() -> None:
    whole = json.loads(
        provenance(
            name="acme.agent",
            release=7,
            source_digest=SOURCE,
            environment=built(),
            started=1_700_000_000.0,
            ended=1_700_000_002.5,
            builder="https://agents.example.com",
        )
    )
    assert whole["_type"] == "https://in-toto.io/Statement/v1"
    assert whole["predicateType"] == "https://slsa.dev/provenance/v1"
    assert whole["subject"] == [{"name": "acme.agent@7", "digest": {"sha256": "2" * 64}}]
    built_from = whole["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"name": "msgspec", "uri": "pkg:pypi/msgspec@0.22.0", "digest": {"sha256": "4" * 64}} in built_from
    assert {"name": "two", "uri": "pkg:pypi/two@1!2.0%2Bx"} in built_from
    run = whole["predicate"]["runDetails"]
    assert run["builder"]["id"] == "https://agents.example.com"
    assert run["metadata"]["startedOn"] == "2023-11-14T22:13:20.000Z"
    assert run["metadata"]["finishedOn"] == "2023-11-14T22:13:22.500Z"


@pytest.mark.parametrize(
    ("said", "detail", "remedy"),
    [
        ("error: Failed to install: six\n  cause: No space left on device (os error 28)", "disk", "Free"),
        (
            "error: Failed to download `six==1`\n  cause: Hash mismatch for `six==1`\n\n    Expected:\n  x",
            "six==1 is not what the lock names",
            "--upgrade",
        ),
        (
            "error: Failed to fetch: https://x/\n  cause: error sending request for url (https://x/)\n"
            "  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer",
            "certificate",
            "SSL_CERT_FILE",
        ),
        (
            "error: Request failed after 3 retries in 4.8s\n  cause: Failed to fetch: https://x/simple/six/\n"
            "  cause: dns error",
            "can't be reached",
            "HTTPS_PROXY",
        ),
        (
            "error: Failed to fetch: https://x/simple/\n  cause: HTTP status client error (401 Unauthorized)",
            "credentials",
            "UV_INDEX_{NAME}_PASSWORD",
        ),
        (
            "error: No solution found when resolving dependencies\n  cause: Because only numpy<=2.5 is "
            "available and you require numpy>=2.9, we can conclude that your requirements are unsatisfiable.",
            "Because only numpy<=2.5 is available and you require numpy>=2.9.",
            "Loosen",
        ),
        ("error: The lockfile at `uv.lock` uses an unsupported schema version (v9)", "uv.lock", "upgrade"),
        (
            "error: Failed to create cache\n  cause: Permission denied (os error 13)",
            "may not write",
            "UV_CACHE_DIR",
        ),
        ("error: something new", "uv failed while installing: something new.", "log"),
        ("thread panicked", "uv failed while installing: thread panicked.", "log"),
    ],
)
def test_failures_of_uv(said: str, detail: str, remedy: str) -> None:
    problem = explain(["warning: Connection", *said.splitlines()], 2, "installing", "3.11.7")
    assert detail in problem.detail
    assert remedy in problem.remedy
    assert problem.info["log"].endswith(said)


def test_a_uv_that_said_nothing() -> None:
    assert explain([], 2, "installing", "3.11.7").detail == "uv failed while installing: exit code 2."


def test_a_uv_that_was_killed() -> None:
    problem = explain(["Resolved"], -9, "installing", "3.11.7")
    assert "signal 9" in problem.detail
    assert "memory" in problem.remedy


def test_credentials_are_left_out() -> None:
    assert (
        redacted("see https://me:secret@x/simple and http://t@y")
        == "see https://****@x/simple and http://****@y"
    )


def record(digest: str) -> EnvironmentRecord:
    whole = built(digest=digest)
    return EnvironmentRecord(**{name: getattr(whole, name) for name in EnvironmentRecord.__struct_fields__})


def made(work: Path) -> Path:
    (work / "environment" / "bin").mkdir(parents=True)
    (work / "environment" / "bin" / "python").symlink_to("/bin/sh")
    return work / "environment"


def test_an_environment_is_whole_or_not_there(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.find(DIGEST) is None
    with place.workplace() as work:
        place.keep(made(work), record(DIGEST), b"lock")
    found = place.find(DIGEST)
    assert found is not None
    assert (found.lock, found.packages) == (b"lock", built().packages)
    folder = found.python.parents[1]
    for spoil in (
        lambda: (folder / RECORD).write_bytes(b"{"),
        lambda: (folder / RECORD).unlink(),
        lambda: (folder / LOCK).unlink(),
        lambda: (folder / "bin" / "python").unlink(),
    ):
        spoil()
        assert place.find(DIGEST) is None
        with place.workplace() as work:  # What is in the way is put aside.
            place.keep(made(work), record(DIGEST), b"lock")
        assert place.find(DIGEST) is not None
    with place.workplace() as work:  # Somebody else was faster.
        assert place.keep(made(work), record(DIGEST), b"other").lock == b"lock"
    place.remove(DIGEST)
    place.remove(DIGEST)
    assert place.find(DIGEST) is None
    assert list((tmp_path / "building").iterdir()) == []
    assert list((tmp_path / "envs").iterdir()) == []


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../x", "sha256:" + "G" * 64, "md5:" + "1" * 64])
def test_what_is_no_digest_is_not_found(tmp_path: Path, digest: str) -> None:
    assert Place(tmp_path).find(digest) is None
    Place(tmp_path).remove(digest)


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.clean()
    with place.workplace() as work:
        left = tmp_path / "building" / "left"
        for path in (left, tmp_path / "building" / "alone"):
            path.mkdir()
            (path / "file").touch()
        left.with_suffix(".held").touch()
        place.clean()
        assert work.is_dir()
        assert sorted(path.name for path in (tmp_path / "building").iterdir()) == sorted(
            [work.name, f"{work.name}.held"]
        )


def test_locks_are_kept_by_what_they_are_of(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.lock_of("a" * 64) is None
    place.keep_lock("a" * 64, b"one")
    place.keep_lock("a" * 64, b"two")
    assert place.lock_of("a" * 64) == b"two"
