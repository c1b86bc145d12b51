"""PDF bytes → extracted text, page by page; encrypted, damaged and scanned files are refused."""

from __future__ import annotations

import io
import logging
from typing import Any

from contract_reviewer_agent.source import MAX_CHARS, Source, UnreadableError, require_english, words

MAX_PAGES = 400
_DAMAGED = "The PDF is damaged and cannot be read. Open it, save or print it as a new PDF, and send that."


def read_pdf(data: bytes, name: str = "") -> Source:
    """Extract the text of a PDF. Raises UnreadableError; pypdf is imported here because text needs none of
    it.
    """
    try:
        import pypdf
    except ImportError:
        raise UnreadableError(
            "PDF support (pypdf) isn't installed here. Send the contract as text."
        ) from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its remarks on odd files help no caller
    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        encrypted = bool(reader.is_encrypted)
    except Exception:  # pypdf lets any kind of error out of a damaged file
        raise UnreadableError(_DAMAGED) from None
    if encrypted:
        _unlock(reader)
    try:
        count = len(reader.pages)
    except Exception:
        raise UnreadableError(_DAMAGED) from None
    if count > MAX_PAGES:
        raise UnreadableError(
            f"The PDF has {count} pages, more than {MAX_PAGES}. Send the contract without its annexes."
        )
    return _assembled(_page_texts(reader, count), name)


def _unlock(reader: Any) -> None:
    try:
        opened = bool(reader.decrypt(""))
    except Exception:
        opened = False
    if not opened:
        raise UnreadableError("The PDF is protected by a password. Remove the password, or send the text.")


def _page_texts(reader: Any, count: int) -> list[str]:
    texts: list[str] = []
    failed = total = 0
    for number in range(count):
        try:
            text = str(reader.pages[number].extract_text())
        except Exception:
            failed, text = failed + 1, ""
        # A page's own form feed would read as a page break, and lone surrogates cannot be sent on.
        text = text.replace("\f", " ").replace("\x00", " ").encode("utf-8", "replace").decode("utf-8")
        total += len(text)
        if total > MAX_CHARS:
            raise UnreadableError(
                f"The PDF holds more than {MAX_CHARS:,} characters. Send it without its annexes."
            )
        texts.append(text)
    if (failed and failed == count) or not count:
        raise UnreadableError(_DAMAGED)
    return texts


def _assembled(texts: list[str], name: str) -> Source:
    text = "\f".join(texts)
    if words(text) < 8:
        raise UnreadableError(
            "The PDF has no text layer: it is a scan or a picture. Run OCR on it, or send the text of"
            " the contract."
        )
    starts: list[int] = []
    at = 0
    for page in texts:
        starts.append(at)
        at += len(page) + 1
    blank = [str(n + 1) for n, page in enumerate(texts) if not page.strip()]
    notes = (
        (f"No text could be read on page {', '.join(blank)}: nothing there was reviewed.",) if blank else ()
    )
    return require_english(Source(text, "pdf", name, "", tuple(starts), notes))
