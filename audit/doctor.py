"""What this machine has and lacks for an audit: facts for ``cvat-audit doctor``; nothing is started or fetched.

No model, FiftyOne or network is touched; heavy packages are known by their metadata only.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import platformdirs

from audit.adapters.fiftyone import database
from audit.errors import AuditError

EXTRAS = {
    "ultralytics": ("torch", "torchvision", "ultralytics-opencv-headless|ultralytics", "onnx", "onnxruntime"),
    "fiftyone": ("fiftyone",),
}
"""Packages of each extra by distribution name; "|" separates names that provide the same module."""

CVAT_SETTINGS = ("CVAT_ACCESS_TOKEN", "PASS", "CVAT_URL")
"""The first two are cvat-cli's; the last is for the tests against a live server."""

TORCHVISION_BEHIND = 15
"""torchvision 0.N goes with torch 2.(N - 15), from torch 2.0 on."""

LOW_DISK_GB = 5
WEIGHT_SUFFIXES = (".pt", ".pth", ".onnx")
CONVERTED = "onnx"
"""Folder among the weights where the ultralytics adapter keeps what it converted, named by digests."""


@dataclass(frozen=True)
class Check:
    """One fact. ok: nothing to do about it. advice: what to do otherwise, "" if nothing."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def checks() -> list[Check]:
    """Everything ``cvat-audit doctor`` tells, in the order it is told. Takes under a second; raises nothing."""
    return [_python(), *_extras(), *_torch_pair(), *_database(), *_folders(), _weights(), _cvat_settings()]


def _python() -> Check:
    version = platform.python_version()
    where = f"Python {version} ({sys.executable}), {platform.platform(terse=True)}"
    ok = sys.version_info >= (3, 10)
    return Check("Python", ok, where, "" if ok else "Python 3.10 or newer is needed")


def _extras() -> Iterator[Check]:
    """An extra that is not installed at all is a choice; one installed in part is a fault."""
    for extra, packages in EXTRAS.items():
        found = {names: _installed(names) for names in packages}
        missing = [names.split("|")[0] for names, version in found.items() if not version]
        have = ", ".join(version for version in found.values() if version)
        install = f"pip install 'cvat-audit[{extra}]'"
        if not have:
            yield Check(f"Extra {extra}", True, f"not installed; to use it: {install}")
        elif missing:
            yield Check(f"Extra {extra}", False, f"{have}; missing: {', '.join(missing)}", install)
        else:
            yield Check(f"Extra {extra}", True, have)


def _installed(names: str) -> str:
    """The first of these distributions that is installed, with its version, or ""."""
    for name in names.split("|"):
        version = _version(name)
        if version:
            return f"{name} {version}"
    return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _torch_pair() -> Iterator[Check]:
    """torch and torchvision must be of one release, and both built for CPU or both for CUDA."""
    torch, vision = _version("torch"), _version("torchvision")
    if not (torch and vision):
        return
    detail = f"torch {torch}, torchvision {vision}"
    if not torchvision_fits(torch, vision):
        yield Check(
            "torch and torchvision", False, f"{detail}: of different releases", "pip install -U torch torchvision"
        )
    elif _cpu_build(torch) and not _cpu_build(vision):
        detail += ": torchvision is not marked as a CPU build; the audit brings its own box filter where it fails"
        yield Check("torch and torchvision", True, detail)
    else:
        yield Check("torch and torchvision", True, detail)


def torchvision_fits(torch: str, vision: str) -> bool:
    """Whether these versions are of one release: torch 2.13 goes with torchvision 0.28. True for unknown schemes."""
    t, v = (re.match(r"(\d+)\.(\d+)", text) for text in (torch, vision))
    if not (t and v) or t.group(1) != "2" or v.group(1) != "0":
        return True
    return int(v.group(2)) - int(t.group(2)) == TORCHVISION_BEHIND


def _cpu_build(version: str) -> bool:
    return version.endswith("+cpu")


def _database() -> Iterator[Check]:
    if importlib.util.find_spec("fiftyone") is None:
        return
    try:
        state = database.describe()
    except AuditError as error:
        yield Check("FiftyOne database", False, str(error))
    except OSError as error:
        yield Check("FiftyOne database", False, f"its folder cannot be used: {error}", "check XDG_STATE_HOME")
    else:
        yield Check("FiftyOne database", state.ok, state.detail, state.advice)


def _folders() -> Iterator[Check]:
    yield _folder("Cache folder", Path(platformdirs.user_cache_dir("cvat-audit", appauthor=False)), "XDG_CACHE_HOME")
    yield _folder("State folder", Path(platformdirs.user_state_dir("cvat-audit", appauthor=False)), "XDG_STATE_HOME")


def _folder(name: str, path: Path, variable: str) -> Check:
    """Whether it can be written to, or made, and how much room there is. It is not made."""
    there = next((p for p in (path, *path.parents) if p.exists()), Path("/"))
    if not (there.is_dir() and os.access(there, os.W_OK)):
        return Check(name, False, f"{path} cannot be written to", f"set {variable} to a folder of yours")
    free_gb = shutil.disk_usage(there).free / 1e9
    ok = free_gb >= LOW_DISK_GB
    advice = "" if ok else f"make room, or set {variable} to a folder on another disk"
    return Check(name, ok, f"{path}, {free_gb:.0f} GB free", advice)


def _weights() -> Check:
    folder = Path(platformdirs.user_cache_dir("cvat-audit", appauthor=False)) / "weights"
    files = sorted(p for p in folder.rglob("*") if p.suffix in WEIGHT_SUFFIXES) if folder.is_dir() else []
    if not files:
        return Check("Weights", True, f"none kept in {folder} yet; they are fetched when first asked for")
    converted = [p for p in files if p.parent == folder / CONVERTED]
    told = [f"{p.name} ({_megabytes([p])})" for p in files if p not in converted][:20]
    if converted:
        told.append(f"{len(converted)} converted to ONNX ({_megabytes(converted)})")
    return Check("Weights", True, ", ".join(told))


def _megabytes(files: list[Path]) -> str:
    return f"{sum(p.stat().st_size for p in files) / 1e6:.1f} MB"


def _cvat_settings() -> Check:
    """Names only: values are secrets or lead to them."""
    present = [name for name in CVAT_SETTINGS if os.environ.get(name)]
    detail = f"set: {', '.join(present)} (values not shown)" if present else "none set; exports on disk need none"
    return Check("CVAT settings", True, detail)
