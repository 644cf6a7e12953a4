"""The folder that a command writes to: it replaces and deletes nothing there that it did not make."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import ServiceError, UsageError
from audit.locks import locked

MARK = ".cvat-audit"
"""A file that says whose folder it is, also while there is no manifest yet."""
MARKED = "Made by cvat-audit, which replaces its own files in this folder when it is run again.\n"
PLACED = {"frame", "label", "x1", "y1", "x2", "y2"}
TABLES = {
    "frames.parquet": {"name", "number", "width", "height", "task", "job"},
    "annotations.parquet": PLACED | {"annotation_id", "shape", "crowd"},
    "predictions.parquet": PLACED | {"score", "model"},
    "findings.parquet": PLACED | {"type", "annotation_id", "suggested_label"},
}
"""With columns that those of every version have."""
REPLACED = (
    "manifest.json", *TABLES, "report.html", "preview.html", "calibration.json", "blind.json", "corrected.json",
    "corrected.xml",
)  # fmt: skip
"""Files that the commands replace or delete without a question."""
KEPT = ("journal.jsonl", "decisions.jsonl", "blind", "checks")
"""What people and pushes left in a folder; it stays when its audit is made again."""
_BEGUN = re.compile(r"\.(?P<file>.+)\.[a-z0-9_]{8}")


def check(out: Path, command: str, source: str) -> None:
    """Raises UsageError if a command must not write to ``out``; a folder of ours, and a new one, are fine.

    source: what the command reads; its own folder is never written to. Other files may lie in ``out``, as long as
    none has a name that the commands use. What another command or source left there when it was cut off may be
    replaced, but not where people have decided on it, or it was pushed: that would count as of the new one.
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
    _check_left(out, command, source)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """While this lasts no other audit writes to the folder, which is made. The lock ends however the process does.

    Raises UsageError if another does already, ServiceError if the folder cannot be written.
    """
    with locked(
        out / MARK, f"another cvat-audit is writing to {out} just now. Wait until it has ended, or give another --out."
    ):
        yield


def claim(out: Path, command: str, source: str) -> None:
    """Make the folder, marked as ours and whose it is, and remove what a killed process had begun to write in it."""
    owner = json.dumps({"command": command, "source": source})
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / MARK).write_text(f"{MARKED}{owner}\n", encoding="utf-8")
    except OSError as error:
        raise ServiceError(f"cannot write to {out}: {error.strerror or error}") from error
    for begun in out.iterdir():
        match = _BEGUN.fullmatch(begun.name)
        if match and match["file"] in REPLACED:
            begun.unlink(missing_ok=True)


def _foreign(out: Path, names: list[str]) -> str:
    """The first of these files that is not ours; "" for none."""
    mark = _mark(out / MARK)
    if mark is None or (mark and _owner(mark) is None):
        return MARK
    if "manifest.json" in names:
        return "" if _is_manifest(out / "manifest.json") else "manifest.json"
    if mark or any(_is_table(out / name) for name in names if name in TABLES):
        return ""
    return names[0] if names else ""


def _mark(path: Path) -> str | None:
    """What the mark says, "" if there is none or it was only begun; None if it is no plain text or a link."""
    try:
        return None if path.is_symlink() else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        return None


def _check_left(out: Path, command: str, source: str) -> None:
    """Raises UsageError if an unfinished run of another command or source is there, with what people left on it.

    A finished one says in its manifest whose it is, so each command looks for itself.
    """
    kept = [name for name in KEPT if (out / name).exists()]
    owner = _owner(_mark(out / MARK) or "")
    if not kept or not owner or (out / "manifest.json").exists():
        return
    if owner != {"command": command, "source": source}:
        what = f"'cvat-audit {owner.get('command')}' of {owner.get('source')}"
        raise UsageError(
            f"{out} holds the {kept[0]} of {what}, which was cut off. Finish that first (the same command again), "
            "or give another --out."
        )


def _owner(mark: str) -> dict[str, Any] | None:
    """The command and the source that a mark names, none in a mark of earlier versions; None: it is no mark of ours."""
    if not mark.startswith(MARKED):
        return None
    try:
        owner = json.loads(mark.removeprefix(MARKED) or "{}")
    except (ValueError, RecursionError):
        return None
    return owner if isinstance(owner, dict) else None


def _is_table(path: Path) -> bool:
    """Whether it is one of a run's; versions without marks left those of a killed run so."""
    try:
        return TABLES[path.name] <= set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return False


def _is_manifest(path: Path) -> bool:
    """Whether it is a run's, of whatever version."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and {"format_version", "source", "models"} <= manifest.keys()
