"""How much of a database's write-ahead log is in use, which its file does not say: it keeps its largest
size, and is written anew from the beginning once all of it is in the database.

The layout is SQLite's, which promises it: https://sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import os
from pathlib import Path

#: Bytes of the file's header, in which the page size and the salts stand, and of that before each page.
HEADER, FRAME = 32, 24


def bytes_in_use(wal: Path) -> int:
    """Bytes of the log at `wal` (`….db-wal`) that are of its present round; 0 when there is none. To read
    it here does no harm to SQLite's locks, which are on other files."""
    try:
        file = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        head = os.pread(file, HEADER, 0)
        if len(head) < HEADER:
            return 0
        frame = FRAME + int.from_bytes(head[8:12], "big")
        salts = head[16:24]
        # Frames of this round have its salts, and come before those that are left of earlier ones.
        low, high = 0, (os.fstat(file).st_size - HEADER) // frame
        while low < high:
            middle = (low + high) // 2
            if os.pread(file, 8, HEADER + middle * frame + 8) == salts:
                low = middle + 1
            else:
                high = middle
    except OSError:
        return 0
    finally:
        os.close(file)
    return HEADER + low * frame
