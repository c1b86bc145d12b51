"""Who calls: a principal of an organisation, or nobody in particular."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

DEFAULT_ORG = "default"


class Role(StrEnum):
    """What a key may do: call agents (member), or also govern its organisation (admin)."""

    MEMBER = "member"
    ADMIN = "admin"


#: A call's place in a queue is from -MAX_PRIORITY to MAX_PRIORITY, usually 0.
MAX_PRIORITY = 10


class Principal(Struct, frozen=True):
    """The authenticated caller. `no` and `org_no` are the numbers under which rows name them;
    `priority` is the highest that they may give a call."""

    no: int
    org_no: int
    name: str
    org: str
    role: Role = Role.MEMBER
    key_id: str = ""
    priority: int = 0

    @property
    def anonymous(self) -> bool:
        """Nobody proved who they are; only public agents serve them."""
        return self.no == ANONYMOUS_NO

    @property
    def label(self) -> str:
        """`name@org`, as receipts and logs write it."""
        return f"{self.name}@{self.org}" if not self.anonymous else "anonymous"


ANONYMOUS_NO = 0
ANONYMOUS = Principal(no=ANONYMOUS_NO, org_no=0, name="anonymous", org="")
