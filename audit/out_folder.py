"""The folder that a command writes to: it replaces and deletes nothing there that it did not make."""

from __future__ import annotations

import json
import re
from pathlib import Path

from audit.errors import ServiceError, UsageError

MARK = ".cvat-audit"
"""A file that says whose folder it is, also while there is no manifest yet."""
MARKED = "Made by cvat-audit, which replaces its own files in this folder when it is run again.\n"
TABLES = ("frames.parquet", "annotations.parquet", "predictions.parquet", "findings.parquet")
REPLACED = (
    "manifest.json", *TABLES, "report.html", "preview.html", "calibration.json", "blind.json", "corrected.json",
    "corrected.xml",
)  # fmt: skip
"""Files that the commands replace or delete without a question."""
_BEGUN = re.compile(r"\.(?P<file>.+)\.[a-z0-9_]{8}")


def check(out: Path, source: str) -> None:
    """Raises UsageError if a command must not write to ``out``; a folder of ours, and a new one, are fine.

    source: what the command reads; its own folder is never written to. Other files may lie in ``out``, as long as
    none has a name that the commands use.
    """
    if out.resolve() == Path(source).resolve():
        raise UsageError(f"--out {out} is what is to be read. Give another --out.")
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"--out {out} is a file. Give the name of a folder.")
    names = [name for name in REPLACED if (out / name).exists() or (out / name).is_symlink()]
    foreign = _foreign(out, names)
    if foreign:
        raise UsageError(f"{out} holds a {foreign} that cvat-audit did not make. Give another --out.")


def claim(out: Path) -> None:
    """Make the folder, marked as ours, and remove what a killed process had begun to write in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / MARK).write_text(MARKED, encoding="utf-8")
    except OSError as error:
        raise ServiceError(f"cannot write to {out}: {error.strerror or error}") from error
    for begun in out.iterdir():
        match = _BEGUN.fullmatch(begun.name)
        if match and match["file"] in REPLACED:
            begun.unlink(missing_ok=True)


def _foreign(out: Path, names: list[str]) -> str:
    """The first of these files that is not ours; "" for none."""
    if "manifest.json" in names:
        return "" if _is_manifest(out / "manifest.json") else "manifest.json"
    try:
        marked = (out / MARK).read_text(encoding="utf-8") == MARKED
    except (OSError, ValueError):
        marked = False
    return names[0] if names and not marked else ""


def _is_manifest(path: Path) -> bool:
    """Whether it is a run's, of whatever version."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and {"format_version", "source", "models"} <= manifest.keys()
