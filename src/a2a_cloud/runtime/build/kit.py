"""The kit's own wheel: of this package only what runs inside an agent's process.

The same code gives the same bytes: sorted names, one fixed time, nothing compressed (compressors
differ between versions). The version carries a local part made of the content, so that a changed kit
is another wheel, and an environment with it another environment.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import tempfile
import zipfile
from pathlib import Path

import a2a_cloud

#: The distribution's name.
NAME = "a2a-cloud"
#: What the kit needs beside the standard library.
REQUIRES = "msgspec>=0.20,<1"
#: The Python versions that it runs on.
REQUIRES_PYTHON = ">=3.11"

#: Which of our files are the kit, beside the modules that these import. `testing/agent*` is the
#: client for an author's own tests; some of what it imports is the platform's, and needs no more.
_PATTERNS = ("__init__.py", "py.typed", "agent/**/*", "wire/worker.py", "testing/agent*.py")
# Read as text: in Python 3.11 no two threads may make syntax trees at once.
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(a2a_cloud[\w.]*)[ \t]+import[ \t]*(\([^)]*\)|[^\n]*)"
    r"|import[ \t]+(a2a_cloud[\w.]*))",
    re.MULTILINE,
)
_TYPES_ONLY = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+.*\n|\n)*", re.MULTILINE)
_FIXED = (1980, 1, 1, 0, 0, 0)


def kit_wheel(dest: Path) -> Path:
    """Write the kit's wheel into the folder `dest` and return its path.

    `dest` is made if it isn't there. A wheel of the same name is kept when its bytes are the same.
    Raises OSError.
    """
    files = _kit_files(Path(a2a_cloud.__file__).parent)
    version = _version(files)
    info = f"a2a_cloud-{version}.dist-info"
    files[f"{info}/METADATA"] = (
        "Metadata-Version: 2.4\n"
        f"Name: {NAME}\n"
        f"Version: {version}\n"
        "Summary: The authoring kit of a2a cloud, as the platform gives it to agents.\n"
        "License-Expression: Apache-2.0\n"
        f"Requires-Python: {REQUIRES_PYTHON}\n"
        f"Requires-Dist: {REQUIRES}\n"
    ).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: a2a-cloud\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(f"{name},{_record_hash(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return _write(dest, f"a2a_cloud-{version}-py3-none-any.whl", files)


def _kit_files(package: Path) -> dict[str, bytes]:
    todo = [path for pattern in _PATTERNS for path in package.glob(pattern)]
    files: dict[str, bytes] = {}
    while todo:
        path = todo.pop()
        name = f"a2a_cloud/{path.relative_to(package).as_posix()}"
        if name in files or not path.is_file() or "__pycache__" in path.parts:
            continue
        files[name] = path.read_bytes()
        if path.suffix == ".py":
            todo += _imported(package, files[name].decode())
    return dict(sorted(files.items()))


def _imported(package: Path, code: str) -> list[Path]:
    """Files of ours that a module imports, those that it imports later too, with their packages."""
    names: set[str] = set()
    for module, listed, plain in _IMPORT.findall(_TYPES_ONLY.sub("", code)):
        names.add(module or plain)
        names.update(f"{module}.{name}" for name in re.findall(r"\w+", listed))
    found: list[Path] = []
    for name in names:
        first, *rest = name.split(".")
        if first == package.name and rest:
            found += [package.joinpath(*rest[:depth], "__init__.py") for depth in range(1, len(rest) + 1)]
            found.append(package.joinpath(*rest[:-1], f"{rest[-1]}.py"))
    return found


def _version(files: dict[str, bytes]) -> str:
    content = hashlib.sha256(f"{REQUIRES}\n{REQUIRES_PYTHON}\n".encode())
    for name, data in files.items():
        content.update(f"{name} {len(data)} ".encode() + data)
    # The letter keeps the local part from being read as a number.
    return f"{a2a_cloud.__version__}+k{content.hexdigest()[:16]}"


def _record_hash(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _write(dest: Path, name: str, files: dict[str, bytes]) -> Path:
    dest.mkdir(parents=True, exist_ok=True)
    number, partial = tempfile.mkstemp(prefix=".kit-", dir=dest)
    try:
        with os.fdopen(number, "wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as wheel:
            for path, data in files.items():
                entry = zipfile.ZipInfo(path, _FIXED)
                entry.external_attr = 0o100644 << 16
                entry.create_system = 3  # Unix, wherever it is made
                wheel.writestr(entry, data)
        target = dest / name
        made = Path(partial)
        # A file that stays as it is keeps its time, and uv what it has in its cache for it.
        if not target.is_file() or target.read_bytes() != made.read_bytes():
            made.chmod(0o644)
            made.replace(target)
        return target
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
