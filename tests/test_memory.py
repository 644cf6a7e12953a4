"""Freed memory goes back to the system, where the system lets us say so."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from audit import memory

PROGRAM = """
import re
from pathlib import Path
from audit.memory import give_back

def held():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024

before = held()
pieces = [b"x" * 60_000 for _ in range(3000)]  # too small to be mapped one by one
last = pieces[-1:]
full = held()
del pieces
give_back()
print(full - before, held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory and can be asked for it")
def test_freed_memory_goes_back_though_the_last_piece_is_still_in_use() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    full, after = map(float, done.stdout.split())
    assert full > 150
    assert after < 30


def test_without_such_a_library_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_trim", lambda: None)
    memory.give_back()


def test_arrow_keeps_nothing_of_what_it_frees() -> None:
    # in a process of its own, since whoever imports Arrow first decides
    code = "import audit, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.strip() == "system"
