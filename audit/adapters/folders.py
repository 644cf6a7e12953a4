"""Where files of ours live on the user's machine."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def cache_dir(name: str) -> Path:
    """A folder for what can be had again: images, predictions, weights. ``XDG_CACHE_HOME`` moves it."""
    return _made(Path(platformdirs.user_cache_dir("cvat-audit", appauthor=False)) / name)


def state_dir(name: str) -> Path:
    """A folder for what must survive: the FiftyOne database. ``XDG_STATE_HOME`` moves it."""
    return _made(Path(platformdirs.user_state_dir("cvat-audit", appauthor=False)) / name)


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
