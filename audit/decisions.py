"""The decisions of a run, in ``decisions.jsonl``: only ever appended to, on disk before anything else happens."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from audit.core.decisions import Decision, Verdict
from audit.errors import ServiceError, UsageError

FILE = "decisions.jsonl"


def append(run: Path, decisions: Iterable[Decision]) -> None:
    """Add lines to the run's file, safe against other writers and against a kill; on disk when this returns."""
    lines = "".join(json.dumps(asdict(d), ensure_ascii=False) + "\n" for d in decisions)
    if not lines:
        return
    try:
        with (run / FILE).open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if _torn(stream):
                lines = "\n" + lines
            stream.write(lines.encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise ServiceError(f"cannot write {run / FILE}: {error.strerror or error}") from error


def read(run: Path, *, strict: bool = True) -> list[Decision]:
    """All decisions, oldest first. A last line cut short by a kill is left out; any other bad line is a UsageError.

    strict: if False, bad lines are left out: for those who only show what else there is.
    """
    try:
        text = (run / FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ServiceError(f"cannot read {run / FILE}: {error.strerror or error}") from error
    lines = text.split("\n")
    decisions = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            parsed = _parsed(line)
            if parsed is not None:
                decisions.append(parsed)
            elif strict and not _may_be_torn(line):
                raise UsageError(f"{run / FILE}, line {number} is not a decision: {line[:80]!r}")
    return decisions


def now() -> str:
    """The time of a decision."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _torn(stream: Any) -> bool:
    """Whether the file ends inside a line, as a kill leaves it."""
    if not stream.seek(0, os.SEEK_END):
        return False
    stream.seek(-1, os.SEEK_END)
    return bool(stream.read(1) != b"\n")


def _may_be_torn(line: str) -> bool:
    return line.lstrip().startswith("{") and not line.rstrip().endswith("}")


def _parsed(line: str) -> Decision | None:
    try:
        row = json.loads(line)
        return Decision(**{**row, "verdict": Verdict(row["verdict"])})
    except (ValueError, TypeError, KeyError):
        return None
