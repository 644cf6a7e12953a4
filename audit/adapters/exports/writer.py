"""A corrected copy of an export that CVAT imports: CVAT for images, and COCO. The original is never touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audit.adapters.exports import _opened as opened
from audit.adapters.exports import open_store
from audit.adapters.exports.archive import readable
from audit.adapters.exports.corrected_coco import CocoCopy
from audit.adapters.exports.corrected_xml import XmlCopy
from audit.adapters.exports.recognise import recognise
from audit.adapters.folders import cache_dir
from audit.adapters.pictures import ImageCache
from audit.core.annotations import Snapshot
from audit.core.corrections import Action, Correction, Plan
from audit.errors import UsageError
from audit.ports import Progress
from audit.push_ports import Line, Report, Unfit
from audit.runs import atomic


class Copy(Protocol):
    """An export in memory. Both change it, or raise Unfit and leave it as it was."""

    def create(self, correction: Correction) -> None: ...

    def change(self, correction: Correction) -> None:
        """Update, relabel or delete the shape that ``annotation_id`` names."""

    def written(self) -> bytes: ...


Maker = Callable[[bytes, str, Snapshot], Copy]
FORMATS: dict[str, tuple[str, Maker]] = {
    "cvat-images": ("corrected.xml", XmlCopy),
    "coco": ("corrected.json", CocoCopy),
}


def write_corrected(
    plan: Plan, snapshot: Snapshot, target: Path | None, *, run: Path, execute: bool, progress: Progress
) -> tuple[Report, Path]:
    """Write the export with a plan's corrections, and say what became of each.

    target: the file to write, by default in the run's folder. execute: False writes nothing. The export is read
    again; shapes that changed since the audit are conflicts. Raises UsageError for other formats, for an
    export in several files, and rather than write over the export itself.
    """
    source = Path(snapshot.source)
    name, make, data = _read(source)
    target = target or run / name
    if target.exists() and target.resolve() == source.resolve():
        raise UsageError(f"--to {target} is the export that was audited; give another file")
    copy = make(data, snapshot.source, snapshot)
    store = open_store(source, cache=ImageCache(cache_dir("images")))
    try:
        now = store.snapshot(progress)
    finally:
        store.close()
    report = Report()
    for said in plan.contradictions:
        report.lines.append(Line(said.findings, "none", -1, "conflict", frame=said.frame, reason=said.reason))
    report.lines += [_applied(copy, c, snapshot, now, "done" if execute else "to do") for c in plan.corrections]
    if execute:
        with atomic(target) as stream:
            stream.write(copy.written())
    return report, target


def _read(source: Path) -> tuple[str, Maker, bytes]:
    """The name to write, what makes the copy, and the annotation file's bytes."""
    files, member = opened(source)
    try:
        found = recognise(files, member=member)
        if found.format not in FORMATS:
            names = " and ".join(FORMATS)
            raise UsageError(f"{source}: a corrected copy can be written of {names}, not of {found.format}")
        if len(found.members) > 1:
            raise UsageError(f"{source}: has {len(found.members)} annotation files; audit and correct them one by one")
        with readable(files.where), files.open(found.members[0]) as stream:
            return (*FORMATS[found.format], stream.read())
    finally:
        files.close()


def _applied(copy: Copy, c: Correction, then: Snapshot, now: Snapshot, status: str) -> Line:
    line = Line(c.findings, c.action.value, int(then.frames.job[c.frame]), status, frame=c.frame, note=c.why or c.text)
    if c.annotation_id >= 0:
        line = replace(line, id=c.annotation_id)
    try:
        if c.action is Action.ISSUE:
            raise Unfit("an export has no issues")
        if c.action is Action.CREATE:
            copy.create(c)
            return line
        for key in (c.annotation_id, *([c.kept_id] if c.kept_id >= 0 else [])):
            _check_unchanged(key, then, now)
        copy.change(c)
    except Unfit as problem:
        return replace(line, status="conflict", reason=str(problem), note=line.note.partition("\n")[0])
    return line


def _check_unchanged(key: int, then: Snapshot, now: Snapshot) -> None:
    """Raises Unfit unless this id is one shape, and the same as the audit read."""
    facts = [_facts(key, snapshot) for snapshot in (then, now)]
    if any(len(f) > 1 for f in facts):
        raise Unfit(f"id {key} stands for several shapes")
    if not facts[1]:
        raise Unfit(f"shape {key} is gone since the audit")
    if facts[0] != facts[1]:
        raise Unfit(f"shape {key} was changed since the audit")


def _facts(key: int, snapshot: Snapshot) -> list[tuple[Any, ...]]:
    a, names = snapshot.annotations, snapshot.frames.name
    return [
        (names[a.frame[r]], snapshot.labels[a.label[r]], int(a.shape[r]), repr(a.xyxy[r].tolist()), a.mask[r])
        for r in np.flatnonzero(a.annotation_id == key)
    ]
