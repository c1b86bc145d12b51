"""What belongs to one run in a pack: its receipt, and beside it all that the receipt names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from a2a_cloud.model.approval import document as approval_document
from a2a_cloud.model.approval import story
from a2a_cloud.model.problem import Problem
from a2a_cloud.surface.api.grants import grant_document
from a2a_cloud.surface.api.scores import score
from a2a_cloud.surface.packs.wanted import Selection
from a2a_cloud.surface.packs_port import Packs
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.runs_port import RunRow

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Dossier(NamedTuple):
    """The files of one run, and what the page says of it."""

    files: list[tuple[str, bytes]]
    summary: dict[str, Any]


class Archive:
    """Reads dossiers: all of one pack. `mentions` are the log's events by what they are about."""

    def __init__(
        self,
        services: Services,
        packs: Packs,
        selection: Selection,
        mentions: Mapping[str, Sequence[int]],
    ) -> None:
        self._services = services
        self._packs = packs
        self._selection = selection
        self._mentions = mentions

    def dossier(self, run: RunRow) -> Dossier:
        """Raises what reading a receipt raises, and Unavailable while a log is in trouble."""
        selection, org = self._selection, self._selection.scope.org
        receipt = self._services.runs.receipt(selection.scope, run.id)
        told = _decode(receipt)
        receipt_id = str(told["id"])
        files = [(f"receipts/{receipt_id}.json", receipt)]
        files += self._proofs(org, told["log"], receipt_id)
        lists: dict[str, list[Any]] = {}
        if selection.inside:  # What its people say of a run is their organisation's.
            lists["reviews"] = list(self._reviews(org, run.id))
        if selection.whole:
            lists |= {
                "grants": list(self._grants(org, _section(told, "grants") or ())),
                "approvals": list(self._approvals(org, run.id)),
                "evals": list(self._scores(org, run.id)),
            }
            about = (run.id, *(each["id"] for each in lists["approvals"]))
            lists["events"] = list(self._events(org, run.id, about))
        for kind, found in lists.items():
            if found:
                document = {"run": run.id, "receipt_id": receipt_id, kind: found}
                files.append((f"{kind}/{run.id}.json", _encode(document)))
        return Dossier(files, _summary(told, lists, [name for name, _ in files]))

    def _proofs(self, org: int, place: Mapping[str, Any], receipt_id: str) -> Iterator[tuple[str, bytes]]:
        if proof := place.get("proof"):
            yield f"proofs/{receipt_id}.tlog-proof", str(proof).encode()
        if self._services.log is None or not self._selection.cose:
            return
        if cose := self._services.log.logs.cose(org, place["index"], receipt_id):
            yield f"proofs/{receipt_id}.cose", cose

    def _grants(self, org: int, entries: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
        for entry in entries:
            try:
                assert self._services.grants is not None
                yield grant_document(*self._services.grants.one(org, entry["id"]))
            except Problem:
                continue  # It was cleared away; the receipt says what it was.

    def _approvals(self, org: int, run: str) -> Iterator[dict[str, Any]]:
        if (approvals := self._services.approvals) is not None:
            for found in approvals.inbox.of_run(org, run):
                yield approval_document(found) | {"story": story(found)}

    def _reviews(self, org: int, run: str) -> Iterator[Any]:
        if (office := self._services.reviews) is not None:
            for row in office.of_run(org, run):
                yield msgspec.to_builtins(office.document(row))

    def _scores(self, org: int, run: str) -> Iterator[dict[str, Any]]:
        if (evals := self._services.evals) is not None:
            for eval_id, found in evals.of_run(org, run):
                yield {"eval": eval_id, **score(found, whole=True)}

    def _events(self, org: int, run: str, about: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Each with what its leaf is made of. What no checkpoint covers yet comes with the next pack."""
        if self._services.log is None:
            return
        logs = self._services.log.logs
        indexes = {*self._packs.of_run(self._selection.scope, run)}
        indexes.update(index for one in about for index in self._mentions.get(one, ()))
        for index in sorted(indexes):
            if proof := logs.proof(org, index):
                entry = logs.entry(org, index)
                payload = entry.payload.decode()
                yield {"index": index, "salt": entry.salt.hex(), "payload": payload, "proof": proof.decode()}


def _section(receipt: Mapping[str, Any], name: str) -> Any:
    """What a section of the receipt shows; None when it is not shown, or empty."""
    sections: dict[str, Any] = receipt.get("sections") or {}
    shown: dict[str, Any] = sections.get(name) or {}
    return shown.get("value")


def _summary(receipt: dict[str, Any], lists: Mapping[str, Sequence[Any]], files: list[str]) -> dict[str, Any]:
    """What a person wants to know, in plain values: the page is written from it."""
    body = receipt["body"]
    price = body.get("price")
    return {
        "id": receipt["id"],
        "body": body,
        "log": receipt["log"],
        "erased": receipt.get("erased"),
        "effects": _section(receipt, "effects") or [],
        "workspace": _section(receipt, "workspace"),
        "children": _section(receipt, "children") or [],
        "cost": _amount(price) if price else "",
        "files": files,
        "events": [_decode(each["payload"]) | {"index": each["index"]} for each in lists.get("events", ())],
        **{kind: lists.get(kind, ()) for kind in ("grants", "approvals", "reviews", "evals")},
    }


def _amount(price: Mapping[str, Any]) -> str:
    """`amount` in units of 10**-scale, as people write it."""
    scale, digits = int(price["scale"]), str(price["amount"])
    if scale:
        digits = digits.rjust(scale + 1, "0")
        digits = f"{digits[:-scale]}.{digits[-scale:]}"
    return f"{digits} {price['currency']}"
