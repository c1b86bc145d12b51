"""The list of steps that a check leaves behind: what held, what did not and where, what could not be checked
and why. Names and meaning of the steps: docs/receipts.md."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["ok", "failed", "unchecked"]


class Step(Struct, frozen=True):
    """One step. `why` says what held, what is wrong, or why it can't be checked; `at` where in the document
    that is, as `$.body.caller`, "" when it is no one place."""

    name: str
    state: State
    why: str = ""
    at: str = ""


class RefusedError(Exception):
    """A step does not hold: what is wrong, and where."""

    def __init__(self, why: str, at: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.at = at


class Trail:
    """Collects the steps of one document. `held` are the parts that were found unchanged, by their names in
    the document; `notes` what a reader should know besides."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.held: list[str] = []
        self.notes: list[str] = []

    def ok(self, name: str, why: str = "", *held: str) -> None:
        """It holds."""
        self.steps.append(Step(name, "ok", why))
        self.held += held

    def failed(self, name: str, refusal: RefusedError) -> None:
        """It does not."""
        self.steps.append(Step(name, "failed", refusal.why, refusal.at))

    def unchecked(self, name: str, why: str) -> None:
        """It can't be checked."""
        self.steps.append(Step(name, "unchecked", why))

    @property
    def failure(self) -> Step | None:
        """The first step that failed."""
        return next((step for step in self.steps if step.state == "failed"), None)
