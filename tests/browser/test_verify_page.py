"""The page that checks receipts, in a real browser: it judges every receipt and pack of the corpus as the
verifier in Python does, works as a file by itself, asks nobody for anything, and shows what nobody meant to
be code as text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chrome
import pytest

import verifier_corpus as made
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.surface.pages.verifier import verifier_file
from a2a_cloud.wire.jws import by_kid, read_jwks
from a2a_cloud.wire.pack import verify_pack
from a2a_cloud.wire.proof import verify_receipt
from running import AGENTS, Running, start_platform

pytestmark = pytest.mark.skipif(not chrome.FOUND, reason="Debian's chromium and chromium-driver are not here")

CHECK = """
const [jwks, cases, pack] = arguments;
const [steps, log, packs] = await Promise.all(
  ["verify_steps", "verify_log", "verify_pack"].map((name) => import(`/_pages/${name}.js`)));
const keys = await steps.readKeys(new TextEncoder().encode(JSON.stringify({ keys: jwks })));
const told = (found) => found.map(({ name, state, why, at }) => [name, state, why, at]);
const found = [];
for (const [document, keyed, witnesses] of cases) {
  const bytes = Uint8Array.from(atob(document), (letter) => letter.charCodeAt(0));
  const trusted = { keys: keyed ? keys : null, witnesses: await Promise.all(witnesses.map(log.readVkey)) };
  if (pack) {
    const one = await packs.verifyPack(new Blob([bytes]), trusted);
    found.push([packs.packSentence(one), one.files.map(({ file, steps }) => [file, told(steps)])]);
  } else {
    const one = await steps.verifyReceipt(bytes, trusted);
    found.push([steps.sentence(one), told(one.steps), one.notes]);
  }
}
return found;
"""
NO_ED25519 = """
const real = crypto.subtle.importKey.bind(crypto.subtle);
crypto.subtle.importKey = (kind, data, algorithm, ...rest) => algorithm?.name === "Ed25519"
  ? Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"))
  : real(kind, data, algorithm, ...rest);
"""
NO_DIGEST = "crypto.subtle.digest = () => Promise.reject(new RangeError('too many'));"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "desk"], tmp_path_factory.mktemp("verify"))
    yield running
    running.stop()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[chrome.Page]:
    with chrome.browser(tmp_path) as window:
        yield window


def judged(page: chrome.Page, cases: list[made.Case], *, pack: bool) -> list[Any]:
    sent = [
        [
            base64.b64encode(case.document).decode(),
            case.keyed,
            [witness.vkey for witness in case.witnesses],
        ]
        for case in cases
    ]
    return page.run(f"return (async (...arguments) => {{{CHECK}}})(...arguments)", made.JWKS, sent, pack)


def test_every_receipt_of_the_corpus_is_judged_as_in_python(page: chrome.Page, site: Running) -> None:
    page.go(f"{site.url}/verify")
    cases = made.corpus()
    for case, found in zip(cases, judged(page, cases, pack=False), strict=True):
        verdict = verify_receipt(case.document, made.JWKS if case.keyed else None, case.witnesses)
        steps = [[step.name, step.state, step.why, step.at] for step in verdict.steps]
        assert [verdict.sentence, steps, list(verdict.notes)] == found, case.name
    assert page.complaints() == []


def test_a_document_that_would_fill_the_memory_is_refused_unread(page: chrome.Page, site: Running) -> None:
    page.go(f"{site.url}/verify")
    case = made.Case("all lists", b'{"body":[' + b"[]," * (1 << 21) + b"0]}")
    verdict = verify_receipt(case.document, made.JWKS)
    steps = [[step.name, step.state, step.why, step.at] for step in verdict.steps]
    assert [[verdict.sentence, steps, list(verdict.notes)]] == judged(page, [case], pack=False)
    assert "brackets and commas" in verdict.sentence


def test_every_pack_of_the_corpus_is_judged_as_in_python(page: chrome.Page, site: Running) -> None:
    page.go(f"{site.url}/verify")
    cases = made.packs()
    for case, found in zip(cases, judged(page, cases, pack=True), strict=True):
        verdict = verify_pack(case.document, made.JWKS if case.keyed else None, case.witnesses)
        files = [
            [each.file, [[step.name, step.state, step.why, step.at] for step in each.steps]]
            for each in verdict.files
        ]
        assert [verdict.sentence, files] == found, case.name


def test_key_files_are_read_as_in_python(page: chrome.Page, site: Running) -> None:
    page.go(f"{site.url}/verify")
    key: dict[str, Any] = dict(made.JWKS[0])
    files: list[Any] = [
        {"keys": [key]}, key, {"keys": [key, {"kty": "RSA"}, {**key, "x": "short"}, {}]}, {"keys": []},
        {"keys": [key, 1]}, {"keys": [None]}, {"keys": [[key]]}, {"keys": None, **key}, {"keys": key},
        {"kty": "OKP"}, {}, [], [key], None, 1, "keys", {"keys": [key], "pad": "x" * (1 << 20)},
    ]  # fmt: skip
    read = """
    const { readKeys } = await import("/_pages/verify_steps.js");
    const found = [];
    for (const text of texts) {
      try {
        found.push([...(await readKeys(new TextEncoder().encode(text))).keys()]);
      } catch (error) {
        found.push(error.constructor.name);
      }
    }
    return found;
    """
    texts = [json.dumps(each) for each in files]
    for text, found in zip(
        texts, page.run(f"return (async (texts) => {{{read}}})(...arguments)", texts), strict=True
    ):
        try:
            expected: Any = list(by_kid(read_jwks(text.encode())))
        except InvalidParams:
            expected = "Refused"
        assert found == expected, text[:200]


@pytest.fixture
def shown(page: chrome.Page, tmp_path: Path) -> Callable[..., None]:
    """Opens the page as a file and gives it files, all at once."""
    (tmp_path / "verify.html").write_bytes(verifier_file())
    page.go((tmp_path / "verify.html").as_uri())

    def give(**files: bytes) -> None:
        for name, data in files.items():
            path = tmp_path / name.replace("_", ".")
            path.write_bytes(data)
            page.run("delete document.body.dataset.checked")
            page.upload("#files", path)
            page.until(lambda: page.run("return document.body.dataset.checked"), name)

    return give


JWKS = json.dumps({"keys": made.JWKS}).encode()


def states(page: chrome.Page, name: str) -> list[str]:
    script = (
        "return [...document.querySelectorAll(`[data-step='${arguments[0]}']`)].map((e) => e.dataset.state)"
    )
    return page.run(script, name)


def test_a_receipt_on_a_page_from_disk(page: chrome.Page, shown: Callable[..., None]) -> None:
    shown(receipt_json=made.WHOLE)
    page.shows("internally consistent; signer not checked")
    assert states(page, "signature") == ["unchecked"]
    shown(jwks_json=JWKS)
    page.shows(f"valid: {made.receipt_id(made.WHOLE)}", ".verdict")
    assert states(page, "signature") == states(page, "checkpoint") == ["ok"]
    page.type("#vkeys", made.OTHER_WITNESS.vkey)
    page.click("#witnesses button")
    page.shows("refused: other.example has not cosigned this checkpoint", ".verdict")
    page.type("#vkeys", made.WITNESS_KEY.vkey)
    page.click("#witnesses button")
    page.shows("valid: ", ".verdict")
    assert states(page, "witness") == ["ok"]
    assert page.complaints() == []


def test_a_pack_and_its_changed_copy(page: chrome.Page, shown: Callable[..., None]) -> None:
    good = made.packed(made.PLAIN)
    at = good.index(b"For people")
    shown(jwks_json=JWKS, good_zip=good, bad_zip=good[:at] + b"f" + good[at + 1 :])
    page.shows("valid: 1 receipt in 4 files")
    page.shows("refused: index.html: its bytes are not those that the zip's checksum is of")
    outcomes = page.run("return [...document.querySelectorAll('.result')].map((e) => e.dataset.outcome)")
    assert outcomes == ["valid", "refused"]


def test_a_proof_is_matched_with_its_receipt(page: chrome.Page, shown: Callable[..., None]) -> None:
    proof = json.loads(made.WHOLE)["log"]["proof"].encode()
    shown(a_proof=proof)
    page.shows("give its receipt too")
    shown(receipt_json=made.WHOLE, jwks_json=JWKS)
    page.shows(f"the place of {made.receipt_id(made.WHOLE)} in the log")


def test_a_tree_of_receipts_is_one(page: chrome.Page, shown: Callable[..., None]) -> None:
    child, parent = made.tree().values()
    shown(jwks_json=JWKS, parent_json=parent)
    assert states(page, "children") == ["unchecked"]
    shown(child_json=child)
    assert states(page, "children") == ["ok", "ok"]


def test_keys_that_came_with_a_pack_are_not_taken(page: chrome.Page, shown: Callable[..., None]) -> None:
    shown(keys_json=made.PLAIN["keys.json"])
    page.shows("came with a pack and prove nothing", "#why")
    page.shows("No keys yet", "#keys")


def test_keys_among_other_files_are_not_taken(page: chrome.Page, tmp_path: Path) -> None:
    """Whoever hands over a receipt of their own may put keys beside it, under any name."""
    (tmp_path / "verify.html").write_bytes(verifier_file())
    page.go((tmp_path / "verify.html").as_uri())
    (tmp_path / "receipt.json").write_bytes(made.WHOLE)
    (tmp_path / "receipt-2.json").write_bytes(JWKS)
    page.upload("#files", tmp_path / "receipt.json", tmp_path / "receipt-2.json")
    page.shows("receipt-2.json: it holds keys, and came together with other files", "#why")
    page.shows("No keys yet", "#keys")
    page.shows("internally consistent; signer not checked", ".verdict")


def test_what_a_receipt_says_is_text(page: chrome.Page, shown: Callable[..., None]) -> None:
    nasty = "<img src=x onerror='top.owned=1'>"
    shown(jwks_json=JWKS, receipt_json=made.receipt(changes={"caller": nasty, "context_id": nasty}))
    page.shows(nasty, ".facts")
    assert page.run("return top.owned ?? null") is None
    assert page.complaints() == []


def test_without_ed25519_signatures_are_not_checkable(page: chrome.Page, tmp_path: Path) -> None:
    page.devtools("Page.addScriptToEvaluateOnNewDocument", {"source": NO_ED25519})
    (tmp_path / "verify.html").write_bytes(verifier_file())
    page.go((tmp_path / "verify.html").as_uri())
    page.find("#able")
    for name, data in (("jwks.json", JWKS), ("receipt.json", made.WHOLE)):
        (tmp_path / name).write_bytes(data)
        page.upload("#files", tmp_path / name)
    page.shows("internally consistent; signer not checked: this browser has no Ed25519")
    assert states(page, "id") == states(page, "inclusion") == ["ok"]
    for name in ("signature", "countersignature", "log place", "checkpoint"):
        assert states(page, name) == ["unchecked"], name
    broken = made.edited(made.put("body", "caller", value="mallory@default"))
    (tmp_path / "broken.json").write_bytes(broken)
    page.upload("#files", tmp_path / "broken.json")
    page.shows("refused: the body hashes to ")


def test_a_check_that_breaks_off_is_a_refusal(page: chrome.Page, tmp_path: Path) -> None:
    page.devtools("Page.addScriptToEvaluateOnNewDocument", {"source": NO_DIGEST})
    (tmp_path / "verify.html").write_bytes(verifier_file())
    page.go((tmp_path / "verify.html").as_uri())
    for name, data in (("receipt.json", made.WHOLE), ("good.zip", made.packed(made.PLAIN))):
        (tmp_path / name).write_bytes(data)
        page.upload("#files", tmp_path / name)
    page.until(lambda: page.run("return document.querySelectorAll('.result.refused').length") == 2, "both")
    page.shows("refused: the check broke off: too many", ".verdict")
    assert page.run("return document.querySelector('#busy').textContent") == ""


def test_the_file_asks_nobody_for_anything(page: chrome.Page, shown: Callable[..., None]) -> None:
    shown(receipt_json=made.WHOLE, jwks_json=JWKS, good_zip=made.packed(made.PLAIN))
    asked = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert asked == []
    blocked = page.run("return fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)")
    assert blocked == "TypeError"


def test_a_platforms_own_pack_and_the_page_in_it(page: chrome.Page, site: Running, tmp_path: Path) -> None:
    import httpx

    with httpx.Client(trust_env=False, headers=site.auth, timeout=60) as client:
        done = client.post(f"{site.agent('desk')}/invoke/shout", json={"text": "<b>hi</b>"})
        run = done.headers["a2a-run"]
        pack = client.post(f"{site.url}/api/v1/packs", json={"runs": [run]})
        assert pack.status_code == 200, pack.text
        keys = client.get(f"{site.url}/.well-known/jwks.json").content
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(pack.content)) as archive:
        archive.extractall(tmp_path / "pack")
    (tmp_path / "jwks.json").write_bytes(keys)
    (tmp_path / "pack.zip").write_bytes(pack.content)
    page.go((tmp_path / "pack" / "index.html").as_uri())
    page.shows(run)
    page.click('a[href="verify.html"]')
    page.upload("#files", tmp_path / "jwks.json")
    page.upload("#files", tmp_path / "pack.zip")
    page.shows("valid: 1 receipt in ", ".verdict")
    assert page.complaints() == []
