"""A small task on a server, an audit of it made by hand, and what a push does to it.

The cases run on the double and, by the same fixture, on a real server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.adapters.cvat.convert import JobFrames, annotations_of
from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.patience import Patience
from audit.adapters.cvat.writer import CvatWriter
from audit.core.annotations import Annotations, Frames, Job, Predictions, Snapshot
from audit.core.decisions import Decision, Verdict
from audit.core.findings import Findings, FindingType, with_ids
from audit.core.masks import encode
from audit.core.table import objects
from audit.decisions import append
from audit.push_ports import Report
from audit.pushing import FIXES, intent_of, push, undo
from audit.runs import RunFolder, describe, write_manifest, write_table
from tests.contract.place import FRAMES, SIZE, Connection, Place
from tests.doubles.progress import Told

QUICK = Patience(connect=2, read=5, answer=10, attempts=3, wait_initial=0.01, wait_max=0.02, retry_after_max=0.05)
LABELS = ("person", "thing", "body")
HW = (SIZE[1], SIZE[0])


class Quiet(Told):
    """Notes are allowed."""

    def note(self, line: str) -> None:
        self.steps[line] = 0


@dataclass
class Audited:
    """One run of the task and the ways to act on it."""

    place: Place
    path: Path
    snapshot: Snapshot
    rows: list[dict[str, Any]]
    masks: list[bytes | None]

    @property
    def job_ids(self) -> list[int]:
        return [int(job.id) for job in self.place.jobs()]

    def row_of(self, annotation_id: int) -> int:
        return int(np.flatnonzero(self.snapshot.annotations.annotation_id == annotation_id)[0])

    def finding(self, kind: FindingType, annotation_id: int = -1, **facts: Any) -> None:
        """Add a finding. facts: columns of ``Findings``; mask: a predicted mask (h, w); related_id: a shape's id."""
        mask, related = facts.pop("mask", None), facts.pop("related_id", None)
        row = {"type": int(kind), "score": 0.9, "prediction_score": 0.8123456, **facts}
        if annotation_id >= 0:
            at, a = self.row_of(annotation_id), self.snapshot.annotations
            row |= {"annotation": at, "annotation_id": annotation_id, "frame": int(a.frame[at])}
            row |= {"label": int(a.label[at]), "xyxy": a.xyxy[at]}
        if related is not None:
            row["related"] = self.row_of(related)
        self.rows.append({**row, "prediction": len(self.masks)})
        self.masks.append(None if mask is None else encode(mask))

    def write(self) -> Findings:
        """Write the run folder and give its findings."""
        names = Findings().columns()
        blank = {"xyxy": [np.nan] * 4, "suggested_xyxy": [np.nan] * 4, "iou": 0.1, "id": "", "reason": "Because."}
        nothing = {"annotation": -1, "related": -1, "annotation_id": -1, "label": -1, "suggested_label": -1}
        blank |= {"frames": 1, "first_frame": -1, "last_frame": -1}
        rows = [{**blank, **nothing, **row} for row in self.rows]
        text = ("id", "reason")
        columns = {n: objects(r[n] for r in rows) if n in text else np.array([r[n] for r in rows]) for n in names}
        findings = with_ids(Findings(**columns), self.snapshot) if rows else Findings()
        n = len(self.masks)
        predictions = Predictions(
            xyxy=np.zeros((n, 4)), label=np.zeros(n, int), score=np.ones(n), mask=objects(self.masks)
        )
        self.path.mkdir(parents=True, exist_ok=True)
        tables = {"frames": self.snapshot.frames, "annotations": self.snapshot.annotations,
                  "findings": findings, "predictions": predictions}  # fmt: skip
        for name, table in tables.items():
            write_table(self.path / f"{name}.parquet", table, LABELS)
        write_manifest(self.path, {**describe(self.snapshot), "models": []})
        return findings

    def accept_all(self, **labels: str) -> list[str]:
        """Write the run and accept every finding; returns their ids. labels: by position (``_0``), a chosen label."""
        ids = [str(key) for key in self.write().id]
        self.decide(ids, labels={ids[int(k[1:])]: v for k, v in labels.items()})
        return ids

    def decide(self, ids: list[str], verdict: Verdict = Verdict.ACCEPT, labels: dict[str, str] | None = None) -> None:
        times = "2026-01-01T00:00:00+00:00"
        append(self.path, [Decision(i, verdict, "rita", times, label=(labels or {}).get(i, "")) for i in ids])

    @contextmanager
    def writer(self) -> Iterator[CvatWriter]:
        made = CvatWriter(self.snapshot.source, credentials(self.place.connection), patience=QUICK)
        try:
            yield made
        finally:
            made.close()

    def push(self, mode: str = FIXES, *, execute: bool = True, **options: Any) -> Report:
        with self.writer() as target:
            intent = intent_of(RunFolder.open(self.path), mode)
            return push(self.path, intent, target, execute=execute, progress=Quiet(), **options)

    def undo(self, *, execute: bool = True) -> Report:
        with self.writer() as target:
            return undo(self.path, target, execute=execute, progress=Quiet())

    def stored(self) -> dict[int, dict[str, Any]]:
        """Every shape of the task's jobs now, by id."""
        return {int(s["id"]): s for job in self.job_ids for s in self.annotations(job)["shapes"]}

    def annotations(self, job: int) -> dict[str, Any]:
        status, body = self.place.call("GET", f"/jobs/{job}/annotations")
        assert status == 200, body
        return dict(body)

    def patch(self, action: str, *shapes: dict[str, Any], job: int | None = None) -> None:
        """Somebody else's write."""
        target = self.job_ids[0] if job is None else job
        status, body = self.place.call("PATCH", f"/jobs/{target}/annotations", {"shapes": list(shapes)}, action=action)
        assert status == 200, body


def credentials(connection: Connection) -> Credentials:
    return Credentials(connection.user, connection.password, connection.token)


def audit(place: Place, path: Path, shapes: list[dict[str, Any]], **more: Any) -> Audited:
    """Replace the task's annotations by these and read them as an audit does."""
    body = {"version": 0, "tags": [], "tracks": [], "shapes": shapes, **more}
    status, answer = place.call("PUT", f"/tasks/{place.task_id}/annotations", body)
    assert status == 200, answer
    return as_read(place, path)


def as_read(place: Place, path: Path, only: range = range(FRAMES)) -> Audited:
    """The task's annotations as an audit reads them. only: as ``--frames``."""
    jobs = place.jobs()
    names = {place.label(name): code for code, name in enumerate(LABELS)}
    columns: dict[str, list[Any]] = {n: [] for n in ("name", "number", "width", "height", "task", "job")}
    parts: list[Annotations] = []
    for job in jobs:
        numbers = range(int(job.start_frame), int(job.stop_frame) + 1)
        rows = {n: len(columns["name"]) + i for i, n in enumerate(n for n in numbers if n in only)}
        for n in rows:
            values = (f"{n}.jpg", n, SIZE[0], SIZE[1], place.task_id, job.id)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        raw = place.call("GET", f"/jobs/{job.id}/annotations")[1]
        frames = JobFrames(rows, dict.fromkeys(numbers, HW), frozenset(numbers), f"job {job.id}")
        parts.append(annotations_of(raw, frames, names)[0])
    assert len(columns["name"]) == len(only)
    url = place.connection.url
    source = f"cvat+{url}/tasks/{place.task_id}"
    link = url + "/tasks/{task}/jobs/{job}?frame={number}"
    held = tuple(Job(int(j.id), place.task_id) for j in jobs)
    snapshot = Snapshot(source, LABELS, Frames(**columns), Annotations.concat(parts), held, "now", link)
    return Audited(place, path, snapshot, [], [])
