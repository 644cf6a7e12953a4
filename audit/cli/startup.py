"""What commands need not wait for when they start and end."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib.machinery import ModuleSpec
from typing import Any

import pyarrow as pa


class _Hidden:
    """Finds nothing in place of pandas."""

    @staticmethod
    def find_spec(name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return None


def start_without_pandas() -> None:
    """Keep pyarrow from importing pandas for the first array that it makes: a sixth of a second for nothing.

    It looks for pandas once and then goes on without. Whoever imports pandas later gets it, and pyarrow's
    ``to_pandas`` and ``from_pandas`` still work.
    """
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _Hidden)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_Hidden)


def end_without_search() -> None:
    """Keep Python from looking for garbage among a million objects, several times, before it drops them all anyway.

    That takes a seventh of a second of any command. What is registered to be done at exit is done before.
    """
    atexit.register(gc.freeze)
