"""CVAT's JSON into the core's tables. Pure: no network, no files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.adapters.cvat.geometry import NO_PLACE, Geometry, ShapeError, geometry
from audit.adapters.cvat.patience import line_of
from audit.adapters.cvat.tracks import shapes_of_track
from audit.core.annotations import Annotations, Job, Problem, ShapeType
from audit.core.table import objects

Raw = Mapping[str, Any]
PIECE = 1 << 13
"""Annotations in memory before they are given away."""


@dataclass(frozen=True)
class JobFrames:
    """The frames of one job. Frame numbers are those of its task.

    rows: number to row of the snapshot's frames, for the frames that are audited, in their order. sizes_hw: number
    to height and width. every: all frame numbers of the job. where: how to name the job to people.
    """

    rows: Mapping[int, int]
    sizes_hw: Mapping[int, tuple[int, int]]
    every: frozenset[int]
    where: str


@dataclass
class Rows:
    """Annotations on their way into tables, and what could not become one. take: gets ``PIECE`` of them at a time."""

    take: Callable[[Annotations], None]
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in Annotations().columns()})
    problems: list[Problem] = field(default_factory=list)

    def add(self, place: Geometry, **facts: Any) -> None:
        values = {
            "xyxy": place.xyxy,
            "shape": int(place.shape),
            "points": place.points,
            "mask": place.mask,
            "rotation": place.rotation,
            "crowd": False,
            **facts,
        }
        for name, column in self.columns.items():
            column.append(values[name])
        if len(self.columns["frame"]) >= PIECE:
            self.flush()

    def flush(self) -> None:
        """Give away what there is."""
        self.take(self._table())
        for column in self.columns.values():
            column.clear()

    def _table(self) -> Annotations:
        made = ("points", "mask", "source", "digest")
        columns: dict[str, Any] = {n: objects(c) if n in made else c for n, c in self.columns.items()}
        return Annotations(**columns)


def annotations_of(data: Raw, frames: JobFrames, labels: Mapping[int, int]) -> tuple[Annotations, list[Problem]]:
    """A job's annotations as CVAT sends them (``tags``, ``shapes``, ``tracks``).

    labels: CVAT's label id to the snapshot's label code. What lies on a frame of the job that is not
    audited is left out; what lies on a frame outside of the job, has an unknown label or is no shape
    becomes a Problem.
    """
    tables: list[Annotations] = []
    problems = take_annotations(lambda kind: data.get(kind) or [], frames, labels, tables.append)
    return Annotations.concat(tables), problems


def take_annotations(
    listed: Callable[[str], Iterable[Any]],
    frames: JobFrames,
    labels: Mapping[int, int],
    take: Callable[[Annotations], None],
) -> list[Problem]:
    """As ``annotations_of``, of which no more than a piece is ever in memory, and one track.

    listed: gives a job's ``tags``, ``shapes``, ``tracks`` one by one. take: is given every piece.
    """
    rows = Rows(take)
    for kind, expand in (("tags", _one), ("shapes", _one), ("tracks", _track)):
        for raw in listed(kind):
            _convert(rows, raw, kind, expand, frames=frames, labels=labels)
    rows.flush()
    return rows.problems


def digest_of(raw: Raw) -> str:
    """A hash of everything the server says about a shape, tag or track, whatever the order of its parts.

    Numbers are hashed as floats, since CVAT answers 1 and 1.0 for the same thing.
    """
    text = json.dumps(_canonical(raw), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def labels_of(listed: Iterable[Raw]) -> dict[int, str]:
    """Label ids to names; a skeleton's points are parts of it, not labels."""
    return {int(label["id"]): str(label["name"]) for label in listed if not label.get("has_parent")}


def job_of(raw: Raw) -> Job:
    """A job as ``GET /api/jobs`` shows it."""
    assignee = (raw.get("assignee") or {}).get("username") or ""
    stage, state = str(raw.get("stage") or ""), str(raw.get("state") or "")
    return Job(int(raw["id"]), int(raw["task_id"]), str(assignee), stage, state)


def _convert(rows: Rows, raw: Any, kind: str, expand: Any, *, frames: JobFrames, labels: Mapping[int, int]) -> None:
    where = frames.where
    try:
        where = f"{where}, {kind[:-1]} {int(raw['id'])}"
        facts = {
            "annotation_id": int(raw["id"]),
            "label": _label(raw, labels),
            "source": str(raw.get("source") or "manual"),
            "digest": digest_of(raw),
            "track": kind == "tracks",
        }
        for shape in expand(raw, frames):
            place = _place(shape, kind, frames)
            occluded = bool(shape.get("occluded", False))
            rows.add(place, frame=frames.rows[int(shape["frame"])], occluded=occluded, **facts)
            if place.problem:
                rows.problems.append(Problem(where, place.problem))
    except ShapeError as error:
        rows.problems.append(Problem(where, f"left out: {error}"))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        rows.problems.append(
            Problem(where, f"left out: the server's answer does not make sense ({line_of(repr(error), 80)})")
        )


def _label(raw: Raw, labels: Mapping[int, int]) -> int:
    if int(raw["label_id"]) not in labels:
        raise ShapeError(f"label id {int(raw['label_id'])} is not among the task's labels")
    return labels[int(raw["label_id"])]


def _one(raw: Raw, frames: JobFrames) -> Iterator[Raw]:
    number = int(raw["frame"])
    if number in frames.rows:
        yield raw
    elif number not in frames.every:
        raise ShapeError(f"it lies on frame {number}, outside of its job")


def _track(raw: Raw, frames: JobFrames) -> Iterator[Raw]:
    return shapes_of_track(raw, frames.rows)


def _place(shape: Raw, kind: str, frames: JobFrames) -> Geometry:
    if kind == "tags":
        return Geometry(ShapeType.TAG, NO_PLACE)
    return geometry(shape, frames.sizes_hw[int(shape["frame"])])


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _canonical(v) for k, v in value.items()}
    if isinstance(value, list):
        parts = [_canonical(v) for v in value]
        # an object's attributes have no order of their own
        by_spec = all(isinstance(p, dict) and "spec_id" in p for p in parts)
        return sorted(parts, key=lambda p: (str(p["spec_id"]), str(p.get("value")))) if by_spec else parts
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
