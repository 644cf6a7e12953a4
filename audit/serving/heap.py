"""Memory of pictures that is used again: to ask the kernel anew for each takes as long as decoding it."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's numbers for ``mallopt``."""
REUSED_BYTES = 64 << 20
"""A picture of up to 22 megapixels in RGB is decoded into memory that an earlier one had."""


def reuse_memory() -> bool:
    """Let this process keep what it frees for its next picture, up to twice ``REUSED_BYTES``.

    False where the C library is not glibc; then all works, only slower.
    """
    try:
        change = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no libc to be found, none with this function, Windows
        return False
    # some versions of glibc take at most half of 64 MiB
    kept = any(change(_MMAP_THRESHOLD, size) for size in (REUSED_BYTES, REUSED_BYTES // 2))
    return bool(kept and change(_TRIM_THRESHOLD, 2 * REUSED_BYTES))
