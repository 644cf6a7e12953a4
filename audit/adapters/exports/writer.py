"""A corrected copy of an export that CVAT imports: CVAT for images, for video, and COCO.

The original is never touched.
"""

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
from audit.adapters.exports.corrected_video import VideoCopy
from audit.adapters.exports.corrected_xml import XmlCopy
from audit.adapters.exports.recognise import recognise
from audit.adapters.folders import cache_dir
from audit.adapters.pictures import ImageCache
from audit.core.annotations import Annotations, Snapshot
from audit.core.corrections import Action, Correction, Plan
from audit.core.track_corrections import TrackEdit
from audit.errors import UsageError
from audit.ports import Progress
from audit.push_ports import OF_A_TRACK, Line, Report, Unfit
from audit.runs import atomic


class Copy(Protocol):
    """An export in memory. Both change it, or raise Unfit and leave it as it was. tracks: whether it has any."""

    tracks: bool

    def create(self, correction: Correction) -> None: ...

    def change(self, correction: Correction) -> None:
        """Update, relabel or delete the shape that ``annotation_id`` names."""

    def written(self) -> bytes: ...


Maker = Callable[[bytes, str, Snapshot], Copy]
FORMATS: dict[str, tuple[str, Maker]] = {
    "cvat-images": ("corrected.xml", XmlCopy),
    "cvat-video": ("corrected.xml", VideoCopy),
    "coco": ("corrected.json", CocoCopy),
}


def write_corrected(
    plan: Plan,
    snapshot: Snapshot,
    target: Path | None,
    *,
    run: Path,
    execute: bool,
    progress: Progress,
    replace: bool = False,
) -> tuple[Report, Path]:
    """Write the export with a plan's corrections, and say what became of each.

    target: the file to write, by default in the run's folder; one that is there already only with replace.
    execute: False writes nothing. The export is read
    again; shapes that changed since the audit are conflicts; a plan without any correction gives the same export.
    Raises UsageError for other formats, for an export in several files, and for a target that is a file of the export
    or whose ending is not the format's.
    """
    source = Path(snapshot.source)
    name, make, data = _read(source)
    given, target = target, target or run / name
    _check_target(target, name, source, run)
    if given is not None and given.exists() and not replace:
        raise UsageError(f"--to {given} is there already; give another name, or --replace")
    copy = make(data, snapshot.source, snapshot)
    store = open_store(source, cache=ImageCache(cache_dir("images")))
    try:
        now = store.snapshot(progress)
    finally:
        store.close()
    report = Report()
    for said in plan.contradictions:
        report.lines.append(Line(said.findings, "none", -1, "conflict", frame=said.frame, reason=said.reason))
    then_and_now, status = (_ById(snapshot), _ById(now)), "done" if execute else "to do"
    report.lines += [_applied(copy, c, then_and_now, status) for c in plan.corrections]
    if execute:
        with atomic(target) as stream:
            stream.write(copy.written())
    return report, target


def _check_target(target: Path, name: str, source: Path, run: Path) -> None:
    """Raises UsageError for a file of the export, and for an ending that is not that of ``name``."""
    real, export = target.resolve(), source.resolve()
    within = real.is_relative_to(export) and not real.is_relative_to(run.resolve())
    if target.exists() and (real == export or within):
        raise UsageError(f"--to {target} is part of the export that was audited; give another file")
    ending = Path(name).suffix
    if target.is_dir() or target.suffix.lower() != ending:
        raise UsageError(f"--to {target}: the copy is one {ending} file; give a name that ends so, such as {name}")


def _read(source: Path) -> tuple[str, Maker, bytes]:
    """The name to write, what makes the copy, and the annotation file's bytes."""
    files, member = opened(source)
    try:
        found = recognise(files, member=member)
        if found.format not in FORMATS:
            raise UsageError(f"{source}: a corrected copy can be written of {listed()}, not of {found.format}")
        if len(found.members) > 1:
            raise UsageError(f"{source}: has {len(found.members)} annotation files; audit and correct them one by one")
        with readable(files.where), files.open(found.members[0]) as stream:
            return (*FORMATS[found.format], stream.read())
    finally:
        files.close()


def listed() -> str:
    """The formats of which there are copies, in words."""
    *others, last = FORMATS
    return f"{', '.join(others)} and {last}"


def _applied(copy: Copy, c: Correction, then_and_now: tuple[_ById, _ById], status: str) -> Line:
    job = int(then_and_now[0].snapshot.frames.job[c.frame])
    line = Line(c.findings, c.action.value, job, status, frame=c.frame, note=_told(c), label=c.label)
    if c.annotation_id >= 0:
        line = replace(line, id=c.annotation_id)
    try:
        if c.action is Action.ISSUE:
            raise Unfit("an export has no issues")
        if c.track and not copy.tracks:
            raise Unfit("a copy cannot change tracks")
        if c.action is Action.CREATE:
            copy.create(c)
            return line
        for key in (c.annotation_id, *([c.kept_id] if c.kept_id >= 0 else [])):
            _check_unchanged(key, then_and_now, track=c.track)
        copy.change(c)
    except Unfit as problem:
        return replace(line, status="conflict", reason=str(problem), note=line.note.partition("\n")[0])
    return line


def _told(c: Correction) -> str:
    """What the correction gives the shape, and what people should know of it."""
    box = "" if c.geometry is None else f"box {[round(v, 2) for v in c.geometry.xyxy]}"
    label = f"label {c.label}" if c.label else ""
    track = OF_A_TRACK if c.track else ""
    return "; ".join(text for text in (track, label, box, *map(_edited, c.edits), c.why or c.text) if text)


def _edited(edit: TrackEdit) -> str:
    if edit.geometry is not None:
        box = [round(v, 2) for v in edit.geometry.xyxy]
        return f"box {box} on frame {edit.at}, for {edit.first} to {edit.last}"
    return f"hidden from frame {edit.first} on" if edit.at < 0 else f"begins on frame {edit.at}"


def _check_unchanged(key: int, then_and_now: tuple[_ById, _ById], *, track: bool) -> None:
    """Raises Unfit unless this id is one shape, or one track with a row for each frame, as the audit read it."""
    facts = [known.facts(key, track=track) for known in then_and_now]
    if not track and any(len(f) > 1 for f in facts):
        raise Unfit(f"id {key} stands for several shapes")
    noun = "track" if track else "shape"
    if not facts[1]:
        raise Unfit(f"{noun} {key} is gone since the audit")
    if facts[0] != facts[1]:
        raise Unfit(f"{noun} {key} was changed since the audit")


class _ById:
    """The shapes of a snapshot by their ids, found without a look at all of them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._order = np.argsort(snapshot.annotations.annotation_id, kind="stable")
        self._ids = snapshot.annotations.annotation_id[self._order]

    def facts(self, key: int, *, track: bool = False) -> list[tuple[Any, ...]]:
        """What is compared of each shape with this id. Frames of a video go by their number: they have no names."""
        s, a = self.snapshot, self.snapshot.annotations
        first, stop = np.searchsorted(self._ids, [key, key + 1]).tolist()
        where = s.frames.number if track else s.frames.name
        return [
            (where[a.frame[r]], s.labels[a.label[r]], int(a.shape[r]), repr(a.xyxy[r].tolist()), *_drawn(a, r))
            for r in self._order[first:stop]
        ]


def _drawn(a: Annotations, row: int) -> tuple[Any, ...]:
    """What a shape is within its box."""
    return a.mask[row], repr([ring.tolist() for ring in a.points[row] or ()]), float(a.rotation[row])
