"""Files known by what is in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from audit.errors import UsageError


def file_sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces. Raises UsageError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()
