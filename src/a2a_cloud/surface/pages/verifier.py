"""The page that checks receipts, proofs and packs in a browser: `/verify` of a platform, and the same in one
file that needs nothing else and works where it lies. One source: the modules in `static`; in the file they
are one inline module, and a policy in it allows that text alone."""

from __future__ import annotations

import re
from functools import cache

from a2a_cloud.surface.pages.assets import hash_source, templates, text_of

#: In an order in which each comes after what it uses.
MODULES = (
    "verify_bytes.js",
    "verify_json.js",
    "verify_trail.js",
    "verify_shape.js",
    "verify_log.js",
    "verify_grants.js",
    "verify_inside.js",
    "verify_steps.js",
    "verify_zip.js",
    "verify_pack.js",
    "dom.js",
    "verify.js",
)
STYLES = ("page.css", "verify.css")
_IMPORT = re.compile(r"^import (\{[^}]*\}) from \"\./([a-z_]+)\.js\";$", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)


@cache
def verifier_page() -> bytes:
    """The page as the platform serves it, its parts beside it."""
    return templates().get_template("verify.html").render(script="", style="", policy="").encode()


@cache
def verifier_file() -> bytes:
    """The page as one file. It asks nobody for anything: its policy allows no connection."""
    script = "".join(map(_enclosed, MODULES))
    style = "".join(text_of(name) for name in STYLES)
    policy = (
        f"default-src 'none'; script-src '{hash_source(script)}'; style-src '{hash_source(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = templates().get_template("verify.html").render(script=script, style=style, policy=policy)
    return page.encode()


def _enclosed(name: str) -> str:
    """A module as a function that is called once and gives what the module exports: its other names stay its
    own. Imports are of modules that come before."""
    text = text_of(name)
    exported = ", ".join(_EXPORT.findall(text))
    body = _EXPORT.sub("", _IMPORT.sub(r"const \1 = $\2;", text))
    return f"const ${name.removesuffix('.js')} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"
