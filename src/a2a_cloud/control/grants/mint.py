"""Where a run's grant comes from: the agent's declaration, what its caller leaves of it, what the
organisation allows at most; one block each. A child gets its parent's grant and a block more; an approval
gets a new grant in the place of the old one.

Nobody computes what two lists of patterns have in common: each is a block, and all blocks must allow.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.control.grants import forms
from a2a_cloud.control.grants.keys import GrantKeys
from a2a_cloud.control.grants.revocation import Standings
from a2a_cloud.control.grants.rows import ADD_GRANT, PREFIX, GrantRow, first_of
from a2a_cloud.control.grants.widen import widened, widened_root
from a2a_cloud.model.grant import (
    BY_CALLER,
    BY_POLICY,
    DEFAULT_DEPTH,
    EVERYTHING,
    GrantSpec,
    LaterBlock,
    Narrowing,
    Operation,
    RootBlock,
    Widening,
)
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.problem import Forbidden
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire.grant import (
    Grant,
    KeyRing,
    attenuate,
    mint,
    open_signed,
    sign_again,
    verify,
)

#: Seconds; as long as the longest run, and shorter than a rotated key is kept.
LONGEST = 7 * 86400.0


class Holder(Struct, frozen=True):
    """Who gets a grant. `org` and `org_no` are those of the run; `agent` the agent's service identity, for
    example `agent:default/reviewer`; `subject` who it acts for (`name@org`); `run` the run's id."""

    org: str
    org_no: int
    agent: str
    subject: str
    run: str


class Issued:
    """A new grant: the token that the platform keeps for the run, and its row for the run's write.

    What it allows (`grant`) is only read from the token when somebody asks: most calls never do.
    """

    __slots__ = ("_grant", "_keys", "_token", "row")

    def __init__(
        self, token: str | None, grant: Grant | None, row: GrantRow, keys: KeyRing | None = None
    ) -> None:
        """Without `token` and `grant`, `keys` sign the row's blocks, and open them."""
        self._token = token
        self.row = row
        self._grant = grant
        self._keys = keys

    @property
    def token(self) -> str:
        """What the platform uses it by. Raises Forbidden when its key is gone."""
        if self._token is None:
            assert self._keys is not None
            self._token = sign_again(self.row.blocks, self._keys)
        return self._token

    @property
    def grant(self) -> Grant:
        """What it says. Raises Forbidden when its key is gone."""
        if self._grant is None:
            assert self._keys is not None
            self._grant = open_signed(self.token, self._keys, now=self.row.created)
        return self._grant

    @property
    def id(self) -> str:
        """Its id."""
        return self.row.id

    @property
    def prior(self) -> str:
        """The id of the grant in whose place it is; "" for none."""
        return self.row.prior

    @property
    def blocks(self) -> str:
        """Its blocks as text, without the signature."""
        return self.row.blocks

    @property
    def expires(self) -> int:
        """When it ends, in wall seconds."""
        return self.row.expires

    @property
    def op(self) -> Op:
        """The statement that stores it."""
        return ADD_GRANT, tuple(self.row)


class Grants:
    """Issues, hands over, replaces and verifies grants."""

    def __init__(
        self,
        keys: GrantKeys,
        standings: Standings,
        clock: Clock,
        ids: Ids,
        *,
        issuer: str,
        max_depth: int = DEFAULT_DEPTH,
    ) -> None:
        """`issuer`: the platform's address. `max_depth`: handovers that any grant may see, a setting."""
        self.keys = keys
        self.standings = standings
        self._clock = clock
        self._ids = ids
        self._issuer = issuer
        self._forms = forms.Forms()
        self._max_depth = max_depth

    def issue(
        self,
        holder: Holder,
        spec: GrantSpec,
        *,
        seconds: float,
        base: int = 0,
        workspace: str = "",
        caller: Narrowing | None = None,
        policy: Narrowing | None = None,
        at: float | None = None,
    ) -> Issued:
        """The grant of a run that nobody's run called: `spec` ∩ `caller` ∩ `policy`, for `seconds`.

        `base` is the version of the workspace that the run reads, `workspace` its name when it is another
        than the declared one. `at`: when the run began, for a grant that is issued when it is first used:
        it holds from then, and what caller and policy leave of its time counts from then; `seconds` count
        from now. Raises InvalidParams for patterns that are none, or too many.
        """
        now = self._clock.now()
        began = now if at is None else min(at, now)
        key = self.keys.current(holder.org)
        kind = workspace or spec.workspace
        nbf, exp = max(1, int(began)), _end(now, seconds)

        def root(grant_id: str, run: str, subject: str, base: int, nbf: int, exp: int) -> RootBlock:
            return RootBlock(
                v=1,
                kid=key.kid,
                id=grant_id,
                root_id=grant_id,
                iss=self._issuer,
                org=holder.org,
                sub=subject,
                aud=holder.agent,
                run=run,
                workspace=kind,
                base=base,
                ops=spec.operations,
                read=spec.read,
                write=spec.write,
                deny=spec.deny,
                skills=spec.skills,
                egress=spec.egress,
                prefix=spec.pinned(run),
                nbf=nbf,
                exp=exp,
                max_depth=min(spec.depth, self._max_depth),
                max_bytes=spec.bytes or UNSET,
                max_uses=spec.uses or UNSET,
            )

        grant_id = first_of(holder.run)
        if (policy is None or policy.empty) and (caller is None or caller.empty):
            blocks = self._forms.fill(
                (key.kid, holder.agent, kind, holder.org),
                spec,
                lambda: root(forms.ID, forms.RUN, forms.SUBJECT, forms.BASE, forms.NBF, forms.EXP),
                grant_id=grant_id,
                run=holder.run,
                subject=holder.subject,
                base=base,
                nbf=nbf,
                exp=exp,
            )
            if blocks:
                row = GrantRow(
                    id=grant_id,
                    org=holder.org_no,
                    root=grant_id,
                    parent="",
                    prior="",
                    line="",
                    run=holder.run,
                    holder=holder.agent,
                    subject=holder.subject,
                    approval="",
                    blocks=blocks,
                    created=now,
                    expires=exp,
                )
                return Issued(None, None, row, self.keys)
        first = root(grant_id, holder.run, holder.subject, base, nbf, exp)
        # Narrower lists leave the run's default folder: it is its own, and only `write = []` closes it.
        own = "" if spec.prefix or spec.write else first.prefix
        later = [
            _block(by, each, began, own)
            for by, each in ((BY_POLICY, policy), (BY_CALLER, caller))
            if each is not None and not each.empty
        ]
        return self._issued(holder.org_no, mint(key, first, later), now)

    def hand_over(
        self,
        token: str,
        holder: Holder,
        spec: GrantSpec,
        *,
        parent: str,
        seconds: float | None = None,
        narrow: Narrowing | None = None,
    ) -> Issued:
        """The grant of a run that `parent` (the identity that holds `token`) called: all that the parent's
        grant allows, less what `narrow` takes away, and no more than `spec`, what the child's agent
        declares. Its own folder lies in its parent's, unless it declares one. Raises Forbidden when the
        token does not hold, InvalidParams when the chain is too long or a pattern is none.
        """
        now = self._clock.now()
        given = self.verify(token, parent)
        left = min(given.handovers_left - 1, spec.depth)
        prefix = spec.pinned(holder.run)
        if not spec.prefix and prefix and given.prefix:
            prefix = f"{given.prefix}{holder.run}/"
        block = LaterBlock(
            aud=holder.agent,
            run=holder.run,
            ops=UNSET if spec.operations == EVERYTHING else spec.operations,
            read=spec.read,
            write=spec.write,
            deny=spec.deny or UNSET,
            skills=spec.skills,
            egress=spec.egress,
            prefix=prefix or UNSET,
            exp=UNSET if seconds is None else _end(now, seconds),
            max_depth=max(left, 0),
            max_bytes=spec.bytes or UNSET,
            max_uses=spec.uses or UNSET,
        )
        if narrow is None or narrow.empty:
            made = attenuate(token, block)
        else:
            # Two restrictions are two blocks, the caller's first: the handover stays the last one.
            own = "" if spec.prefix or spec.write else prefix
            made = attenuate(attenuate(token, _block(given.holder, narrow, now, own)), block)
        issued = self._issued(holder.org_no, made, now, parent=given.id)
        self.standings.handed_over(issued.grant.id, issued.row.expires)
        return issued

    def replace(
        self,
        token: str,
        org_no: int,
        holder: str,
        *,
        extra: Widening | None = None,
        approval: str = "",
        seconds: float | None = None,
        renew: bool = False,
    ) -> Issued:
        """A new grant in the place of the one that `holder` holds: with what an approval adds (`extra`),
        and the old one's id as `prior_id`. Call `settled` once its row is on disk: the old one works for
        the grace of `Standings` after that and no longer.

        What is denied stays denied, and the organisation's cap stays: an approval does not lift them.
        It ends with the old one, or after `seconds` when that is earlier; with `renew` after `seconds` in
        any case, for a run that waited longer than its grant. Raises Forbidden as `verify` does (not for
        one that ended, with `renew`), InvalidParams.
        """
        now = self._clock.now()
        old = open_signed(token, self.keys, now=now)
        self.verify(token, holder, at=min(now, old.exp - 1) if renew else now)
        if renew:  # It may have ended, but it has to stand today: not revoked, not replaced.
            reason = self.standings.refusal(old.root.root_id, old.ids, now)
            if reason:
                raise Forbidden(
                    f"The grant does not stand any more ({reason}).",
                    remedy="Call the agent again.",
                    info={"reason": reason},
                )
        end = _end(now, LONGEST if seconds is None else seconds)
        if not renew:
            end = min(end, old.exp)
        return self._replaced(old, org_no, extra or Widening(), approval, end, now)

    def revert(self, token: str, before: str, org_no: int, holder: str) -> Issued:
        """A new grant in the place of one that was widened for a time which is over (`token`), with what the
        one before it allowed (`before`, which `token` replaced). Call `settled` as after `replace`. Raises
        Forbidden when `token` does not stand, or did not replace `before`, or when that has ended too.
        """
        now = self._clock.now()
        wide = open_signed(token, self.keys, now=now)
        self.verify(token, holder, at=min(now, wide.exp - 1))
        narrow = open_signed(before, self.keys, now=now)
        reason = self.standings.refusal(wide.root.root_id, wide.ids, now)
        if not reason and (wide.root.prior_id != narrow.id or narrow.holder != holder):
            reason = "prior"
        if not reason and now >= narrow.exp:
            reason = "expired"
        if reason:
            raise Forbidden(
                f"There is no grant to go back to ({reason}).",
                remedy="Call the agent again.",
                info={"reason": reason},
            )
        return self._replaced(narrow, org_no, Widening(), "", narrow.exp, now, instead=wide)

    def settled(self, issued: Issued) -> None:
        """What `replace` gave is on disk, and the old grant comes to its end."""
        if issued.row.prior:
            self.standings.replaced(issued.row.prior, self._clock.now())

    def restore(self, row: GrantRow) -> str:
        """The token of a stored grant, for a run that goes on after a restart. Raises Forbidden when its
        key is gone: only a new grant (`issue`) helps then."""
        return sign_again(row.blocks, self.keys)

    def verify(self, token: str, holder: str, *, run: str = "", at: float | None = None) -> Grant:
        """The grant, verified now (or `at`) for `holder`, and for `run` when given. Raises Forbidden."""
        now = self._clock.now() if at is None else at
        return verify(token, self.keys, holder=holder, now=now, standing=self.standings, run=run)

    def check(self, token: str, holder: str, operation: Operation, target: str, *, run: str = "") -> Grant:
        """The grant, when it allows `operation` on `target` now. Raises Forbidden, or InvalidParams for a
        target that is no path."""
        grant = self.verify(token, holder, run=run)
        grant.check(operation, target)
        return grant

    def _replaced(
        self,
        old: Grant,
        org_no: int,
        extra: Widening,
        approval: str,
        end: int,
        now: float,
        *,
        instead: Grant | None = None,
    ) -> Issued:
        """The blocks of `old`, widened, in the place of `old` or of `instead`."""
        prior = instead or old
        key = self.keys.current(old.root.org)
        root = msgspec.structs.replace(
            widened_root(old.root, extra),
            kid=key.kid,
            id=self._ids.new(PREFIX),
            prior_id=prior.id,
            aud=old.holder,
            run=old.run,
            nbf=max(1, int(now)),
            exp=end,
            max_depth=max(0, min(old.handovers_left, self._max_depth)),
            approval_id=approval or UNSET,
        )
        later = [
            widened(block.claims, extra, by=block.by, end=end)
            for block in old.blocks[1:]
            if isinstance(block.claims, LaterBlock)
        ]
        line = self.standings.line(prior.ids)
        issued = self._issued(org_no, mint(key, root, later), now, prior=prior.id, line=" ".join(line))
        self.standings.follows(issued.grant.id, line, now)
        return issued

    def _issued(
        self, org_no: int, token: str, now: float, *, parent: str = "", prior: str = "", line: str = ""
    ) -> Issued:
        grant = open_signed(token, self.keys, now=now)
        root = grant.root
        row = GrantRow(
            id=grant.id,
            org=org_no,
            root=root.root_id,
            parent=parent,
            prior=prior,
            line=line,
            run=grant.run,
            holder=grant.holder,
            subject=root.sub,
            approval=root.approval_id or "",
            blocks=grant.unsigned(),
            created=now,
            expires=grant.exp,
        )
        return Issued(token, grant, row)


def _end(now: float, seconds: float) -> int:
    return int(now + min(max(seconds, 1.0), LONGEST)) + 1


def _block(by: str, narrow: Narrowing, now: float, own: str) -> LaterBlock:
    """A restriction as a block. `own`: the run's folder, which stays open unless nothing may be written."""

    def given(value: Sequence[str] | None) -> tuple[str, ...] | msgspec.UnsetType:
        return UNSET if value is None else tuple(value)

    restricts = bool(narrow.write) or (narrow.write is None and narrow.read is not None)
    return LaterBlock(
        by=by,
        ops=UNSET if narrow.operations is None else narrow.operations,
        read=given(narrow.read),
        write=given(narrow.write),
        deny=narrow.deny or UNSET,
        skills=given(narrow.skills),
        egress=given(narrow.egress),
        prefix=own if own and restricts else UNSET,
        exp=_end(now, narrow.seconds) if narrow.seconds else UNSET,
        max_depth=UNSET if narrow.depth is None else narrow.depth,
        max_bytes=narrow.bytes or UNSET,
        max_uses=narrow.uses or UNSET,
        reason=narrow.reason or UNSET,
    )
