"""A connection of one's own for a long read: what it reads is one state of the database, it can't write, and
it is cut off when it takes too long."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Internal, TooLarge

#: Seconds that a read may take.
PATIENCE = 60.0
#: Steps of SQLite between two looks at the clock.
_STEPS = 100_000


@contextmanager
def reading(database: Path, clock: Clock, patience: float = PATIENCE) -> Generator[sqlite3.Connection]:
    """The connection, for one thread. Raises TooLarge, Internal."""
    ends = clock.monotonic() + patience
    uri = f"{database.absolute().as_uri()}?mode=ro"
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("PRAGMA query_only=ON")
        connection.set_progress_handler(lambda: clock.monotonic() > ends, _STEPS)
        connection.execute("BEGIN")
        yield connection
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise TooLarge(
                f"Reading took longer than {patience:.0f} s.", remedy="Ask for less time at once."
            ) from None
        raise Internal("The stored rows could not be read.", operator=str(error)) from error
    except sqlite3.Error as error:
        raise Internal("The stored rows could not be read.", operator=str(error)) from error
    finally:
        if connection is not None:
            connection.close()
