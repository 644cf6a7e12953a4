"""One process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from audit.errors import ServiceError, UsageError


@contextmanager
def locked(path: Path, busy: str) -> Iterator[IO[str]]:
    """Hold the file, which is made with its folder, and give it to add to. The lock ends however the process does.

    busy: what is said if another process holds it (UsageError). Raises ServiceError if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a")
    except OSError as error:
        raise ServiceError(f"cannot write to {path.parent}: {error.strerror or error}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(busy) from None
        except OSError:  # a disk without locks: as without this
            pass
        yield stream
