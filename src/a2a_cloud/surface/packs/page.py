"""`index.html` of a pack: what each run was, for people. Escaped throughout, nothing in it runs, and it says
nothing that the pack's other files don't."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from a2a_cloud.surface.pages.assets import inline_style, templates


def pack_page(about: Mapping[str, Any], runs: Iterator[Mapping[str, Any]], out: BinaryIO) -> None:
    """Write the page. `about` is the manifest without its files; `runs` come one by one, as `Dossier.summary`
    has them."""
    style, policy = inline_style("page.css", "pack.css")
    template = templates().get_template("pack.html")
    stream = template.stream(about=about, runs=runs, style=style, policy=policy)
    stream.enable_buffering(64)
    stream.dump(out, encoding="utf-8")
