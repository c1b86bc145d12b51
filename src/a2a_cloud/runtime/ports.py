"""What the runtime needs from other planes, as it sees them; `app.py` ties them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from a2a_cloud.model.approval import Approval, Ask
from a2a_cloud.model.grant import GrantSpec, Narrowing, Operation, Widening
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.receipt import PriceFacts
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import Call
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire.grant import Grant
from a2a_cloud.wire.jws import Signer

if TYPE_CHECKING:
    from a2a_cloud.runtime.live import Run


class Releases(Protocol):
    """The registry: which release serves, and those that still have runs."""

    def find(self, org: str, name: str) -> Release:
        """The release that serves agent `name` of organisation `org`. Raises AgentNotFound."""
        ...

    def by_no(self, no: int) -> Release | None:
        """The release with that `no`, if it is ready."""
        ...

    def number(self, no: int) -> int:
        """What people call the release with that `no`, ready or not; 0 when there is none."""
        ...


class Helper(Protocol):
    """The platform's own skills, for agents that call them."""

    async def call(self, principal: Principal, skill: str, arguments: bytes) -> bytes:
        """The result as JSON, of what `principal` may see. Raises SkillNotFound, InvalidParams, …"""
        ...


class ServiceIdentity(Protocol):
    """Agents' own identities (control/services)."""

    def name(self, release: Release) -> str:
        """The one of the release's agent, `spiffe://…`."""
        ...

    def signer(self, agent_no: int) -> Signer:
        """What signs for an agent, by its number."""
        ...


class Launch(Protocol):
    """How a worker of a release is started."""

    def command(self, release: Release) -> Sequence[str]:
        """The program, with an absolute path, and its arguments."""
        ...

    def roots(self, release: Release) -> Sequence[Path]:
        """Folders that the program needs besides the release's own. Raises StartFailed."""
        ...

    def settings(self, release: Release) -> Mapping[str, str]:
        """Variables of the agent's own for the worker's environment."""
        ...


class Limits(Protocol):
    """Limits of callers (control/limits). What `take` gives stands for the run until `leave`."""

    def take(self, call: Call) -> Any:
        """Count a new run. Raises RateLimited, BudgetSpent; then nothing was counted."""
        ...

    def resume(self, call: Call) -> Any:
        """The same for a run from before the platform was started: it is one of its caller's at this time."""
        ...

    def undo(self, lane: Any) -> None:
        """The run was not accepted after all."""
        ...

    def leave(self, lane: Any, seconds: float | None) -> None:
        """The run is over; `seconds`: how long it took, None where that says nothing of the skill."""
        ...


class Settlement(Protocol):
    """What a run's end says of money: `ops` for its write, `price` and `txn` for its receipt, and the
    canonical bytes of the transaction's entries (b"": there is none)."""

    @property
    def ops(self) -> list[Op]: ...
    @property
    def price(self) -> PriceFacts | None: ...
    @property
    def txn(self) -> str: ...
    @property
    def entries(self) -> bytes: ...


class Hold(Protocol):
    """What is set aside for a run."""

    @property
    def measures(self) -> Sequence[str]:
        """Meters that the platform has to measure of it: `seconds`, `bytes`."""
        ...


class Billing(Protocol):
    """What calls cost (control/billing). What `reserve` gives stands until the run's end is on disk."""

    def purse(self, call: Call, run: int) -> Any:
        """What its caller gave a call and all that it calls; None: nothing in particular. Raises
        InvalidParams."""
        ...

    def reserve(
        self, call: Call, run: int, purse: Any, *, strange: bool = False
    ) -> tuple[Any, list[Op]] | None:
        """Set aside what a call may cost: a Hold, and statements for the acceptance's write; None: it costs
        nothing. `strange`: another organisation's agent makes it in the caller's name. Raises
        PaymentRequired, OverBudget; then nothing was set aside."""
        ...

    def undo(self, hold: Any) -> None:
        """The run was not accepted after all."""
        ...

    def resume(self, run: int) -> Any:
        """The hold of a run from before the platform was started, None for none."""
        ...

    def settle(self, run: Run, state: str) -> Settlement:
        """Charge a run that ends as `state`, or let go of what was held; its statements belong into the write
        of its end."""
        ...

    def unsettle(self, hold: Any) -> None:
        """That write was refused: what was held is held."""
        ...

    def over(self, run: int, purse: Any) -> None:
        """The run's end is on disk; `purse`: its own, None for none."""
        ...


class Watch(Protocol):
    """Is told of runs, for traces."""

    def accepted(self, run: Run) -> None:
        """A run begins; it may still fail to be stored."""
        ...

    def ended(self, run: Run) -> None:
        """A run has ended, and that is on disk."""
        ...


class Principals(Protocol):
    """Identity: who a stored number is."""

    def by_no(self, no: int) -> Principal | None:
        """The principal with that number, whatever they may do."""
        ...

    def rights(self, no: int) -> Principal | None:
        """The principal with that number, with the rights that they have now."""
        ...


class Issued(Protocol):
    """A grant that a run holds now: its token, which never leaves the platform, what it says, and the
    statement that stores it."""

    @property
    def token(self) -> str: ...
    @property
    def grant(self) -> Grant: ...
    @property
    def id(self) -> str: ...
    @property
    def prior(self) -> str: ...
    @property
    def blocks(self) -> str: ...
    @property
    def expires(self) -> int: ...
    @property
    def op(self) -> Op: ...


class Authority(Protocol):
    """Grants. `agent` is an agent's service identity (`agent:ORG/NAME`), `subject` for whom a run acts
    (`name@org`), `run` a run's id. All on the loop's thread."""

    def issue(
        self,
        *,
        org: str,
        org_no: int,
        agent: str,
        subject: str,
        run: str,
        spec: GrantSpec,
        seconds: float,
        base: int,
        caller: Narrowing | None,
    ) -> Issued:
        """The grant of a run that nobody's run called. Raises InvalidParams."""
        ...

    def hand_over(
        self, *, token: str, parent: str, org: str, org_no: int, agent: str, subject: str, run: str,
        spec: GrantSpec,
    ) -> Issued:  # fmt: skip
        """The grant of a run that `parent`, an agent, called. Raises Forbidden, InvalidParams."""
        ...

    def check(
        self, token: str, agent: str, run: str, operation: Operation, target: str, *, size: int = 0
    ) -> Grant:
        """Verify the grant, that it allows this, and count it. Raises Forbidden (which it writes into the
        audit), InvalidParams."""
        ...

    def among(
        self, token: str, agent: str, run: str, operation: Operation, targets: Sequence[str]
    ) -> list[str]:
        """Those of `targets` that it allows. Raises Forbidden when the grant does not hold."""
        ...

    def widen(
        self, token: str, org_no: int, agent: str, extra: Widening, *, approval: str, seconds: float | None
    ) -> Issued:
        """A grant in the place of this one, with what an approval adds. Call `settled` once it is on
        disk."""
        ...

    def renew(self, token: str, org_no: int, agent: str, *, seconds: float) -> Issued:
        """A grant in the place of one that a run outlived while it waited. Call `settled`."""
        ...

    def now(self) -> float:
        """Wall seconds by the clock that grants go by."""
        ...

    def revert(self, token: str, before: str, org_no: int, agent: str) -> Issued:
        """A grant in the place of one that was widened for a time, as the one before it was. Call
        `settled`. Raises Forbidden."""
        ...

    def settled(self, issued: Any) -> None:
        """What `widen`, `renew` or `revert` gave is on disk."""
        ...

    def of_run(self, org_no: int, run: str, agent: str) -> Sequence[Issued]:
        """The grants of a stored run, oldest first; the last one is what it holds."""
        ...

    def use_ops(self) -> list[Op]:
        """Statements for what was counted since the last call."""
        ...


class Approvals(Protocol):
    """Where a run asks for more than its grant allows."""

    def request(self, ask: Ask) -> tuple[Approval, list[Op]]:
        """Ask; rules may decide at once. The statements belong into the run's write. Raises
        InvalidParams, Busy."""
        ...

    def opened(self, approval: Approval) -> None:
        """What `request` gave is on disk."""
        ...

    def withdraw(self, run: str) -> list[Op]:
        """The run ended: nobody need decide any more. The statements belong into the run's write."""
        ...

    def due(self, now: float) -> list[Approval]:
        """The open ones whose time is over."""
        ...

    async def expire(self, approval_id: str) -> Approval:
        """End one whose time is over. Raises ApprovalNotFound, ApprovalClosed."""
        ...
