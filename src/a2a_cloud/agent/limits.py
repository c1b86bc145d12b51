"""What agent code raised because it ran out of something, in a form that the runtime can ask the kernel
about: it alone knows which limit that was."""

from __future__ import annotations

import errno

#: What says in the code of a Trouble that something ran out; an errno's name follows.
RAN_OUT = "limit:"
_ERRNOS = {
    number: errno.errorcode[number]
    for number in (
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EMFILE,
        errno.EAGAIN,  # fork, clone; a socket too, which the runtime tells apart
    )
}
#: Causes of causes that are looked at.
_DEEP = 8


def ran_out(error: BaseException) -> str:
    """The code of a Trouble for an exception that a limit may have caused, such as `limit:ENOMEM`; "" for
    any other. The runtime makes `limit_exceeded` of it where it finds the limit, else `skill_failed`."""
    at: BaseException | None = error
    for _ in range(_DEEP):
        if at is None:
            break
        if isinstance(at, MemoryError):
            return RAN_OUT + "ENOMEM"
        if isinstance(at, OSError) and at.errno in _ERRNOS:
            return RAN_OUT + _ERRNOS[at.errno]
        if isinstance(at, RuntimeError) and "can't start new thread" in str(at):
            return RAN_OUT + "EAGAIN"
        at = at.__cause__ or at.__context__
    return ""
