"""Findings as plain objects: the public contract of ``cvat-audit findings --json``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audit import decisions
from audit.chances import p_error
from audit.core.annotations import Annotations, Frames, Snapshot
from audit.core.decisions import Verdict, agreed
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray, ObjectArray, objects
from audit.errors import UsageError
from audit.run_rows import finding_blocks, finding_keys, findings_named, frames_told, told_frames
from audit.runs import RunFolder
from audit.trust.precision import longest_list
from audit.trust.verdicts import facts_of

FIELDS = (
    "id",
    "type",
    "image",
    "frame",
    "annotation_id",
    "label",
    "suggested_label",
    "bbox_xyxy",
    "suggested_bbox_xyxy",
    "iou",
    "prediction_score",
    "score",
    "reason",
    "link",
    "job",
    "assignee",
    "p_error",
    "frames",
    "first_frame",
    "last_frame",
)
"""Keys of a row, in this order. Keys may be added at the end; none is renamed or removed."""

CHUNK = 10_000
"""Findings turned into objects at a time: about 15 MB."""


def finding_rows(
    run: RunFolder,
    *,
    types: Sequence[FindingType] = (),
    labels: Sequence[str] = (),
    min_score: float = 0.0,
    precision: float | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """The findings of a run as JSON-ready objects with the keys ``FIELDS``, worst first.

    types, labels: keep only these, all if empty; a label matches the existing or the suggested one.
    min_score: in [0, 1], keep this and above. limit: keep the first so many. precision: in [0, 1], keep
    the longest list of which this share is expected to be real, likeliest by ``p_error`` first.

    ``type`` is a code such as "missing_annotation", ``image`` the file's name, ``frame`` the number
    in its task. Boxes are [x1, y1, x2, y2] in pixels. What there is none of is None; so is a
    number that is not finite (a box with one such coordinate is None as a whole). ``p_error`` is the score as
    far as verdicts have not corrected it. In a video, one cause that shows on many ``frames`` is one finding, from
    number ``first_frame`` to ``last_frame``; ``frame`` is the most telling one.
    Raises UsageError for a label the run does not have.
    """
    rows = iter_finding_rows(run, types=types, labels=labels, min_score=min_score, precision=precision, limit=limit)
    return list(rows)


def iter_finding_rows(
    run: RunFolder,
    *,
    types: Sequence[FindingType] = (),
    labels: Sequence[str] = (),
    min_score: float = 0.0,
    precision: float | None = None,
    limit: int | None = None,
) -> FindingRows:
    """``finding_rows``, but read as they are asked for, so that a long list is never in memory whole."""
    keys = finding_keys(run)
    rows = _rows_asked(keys, run.labels, types=types, labels=labels, min_score=min_score)
    chance = p_error(facts_of(keys), _verdicts(run))
    if precision is not None:
        rows = rows[longest_list(chance[rows], precision)]
    return FindingRows(run, rows[:limit], chance)


@dataclass(frozen=True)
class FindingRows:
    """Findings of a run as objects, which are read each time one goes through them. Its length is known at once.

    rows: those wanted, in this order. chance: the ``p_error`` of all findings of the run.
    """

    run: RunFolder
    rows: IntArray
    chance: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        told, done = told_frames(self.run), 0
        for block in finding_blocks(self.run, self.rows):
            yield from rows_told(self.run, block, told, self.chance[self.rows[done : done + len(block)]])
            done += len(block)


def rows_of(
    run: RunFolder, findings: Findings, frames: Frames | None = None, *, chance: FloatArray | None = None
) -> Iterator[dict[str, Any]]:
    """These findings of the run as objects, in this order. frames: the run's, if they are read already.

    chance: (n,) their ``p_error``; the scores if left out.
    """
    chance = findings.score if chance is None else chance
    view, people = _frame_view(run, run.frames() if frames is None else frames), assignees(run)
    for start in range(0, len(findings), CHUNK):
        part = slice(start, start + CHUNK)
        yield from _objects(findings[part], view, chance[part], people)


def rows_told(
    run: RunFolder, findings: Findings, told: pa.Table, chance: FloatArray | None = None
) -> Iterator[dict[str, Any]]:
    """As ``rows_of``, a few findings of many. told: ``told_frames`` of the run, of which theirs are looked up."""
    view = _with_frames(findings, run, told)
    return _objects(*view, findings.score if chance is None else chance, assignees(run))


def _verdicts(run: RunFolder) -> dict[int, Verdict]:
    """By row of the findings, what people agree on."""
    said = agreed(decisions.read(run.path, strict=False))
    return {row: said[i].verdict for row, i in findings_named(run, said).items()}


def _rows_asked(
    findings: Findings, names: Sequence[str], *, types: Sequence[FindingType], labels: Sequence[str], min_score: float
) -> IntArray:
    """The rows asked for, highest score first, equal ones in the order given. names: the run's labels."""
    keep = np.ones(len(findings), bool)
    if types:
        keep &= np.isin(findings.type, [int(t) for t in types])
    if labels:
        codes = _label_codes(labels, names)
        keep &= np.isin(findings.label, codes) | np.isin(findings.suggested_label, codes)
    if min_score > 0:
        keep &= findings.score >= min_score
    rows = np.flatnonzero(keep)
    return np.asarray(rows[np.argsort(-findings.score[rows], kind="stable")])


def assignees(run: RunFolder) -> dict[int, str]:
    """User name by job id; "" where nobody is assigned."""
    return {int(job["id"]): str(job.get("assignee") or "") for job in run.manifest["jobs"]}


def frame_links(snapshot: Snapshot, frames: np.ndarray) -> ObjectArray:
    """(n,) addresses that open these frame rows in CVAT, None where there is none."""
    rows, inverse = np.unique(frames, return_inverse=True)
    return objects(snapshot.frame_link(int(row)) or None for row in rows)[inverse.reshape(-1)]


def _label_codes(labels: Sequence[str], names: Sequence[str]) -> list[int]:
    unknown = [label for label in labels if label not in names]
    if unknown:
        raise UsageError(f"label {unknown[0]!r} is not in this run; it has: {', '.join(names) or 'none'}")
    return [i for i, name in enumerate(names) if name in labels]


def _frame_view(run: RunFolder, frames: Frames) -> Snapshot:
    return Snapshot(run.manifest["source"], run.labels, frames, Annotations(), link=run.manifest.get("link", ""))


def _with_frames(findings: Findings, run: RunFolder, told: pa.Table) -> tuple[Findings, Snapshot]:
    """The findings, and of the run's frames (``told_frames``) only those that they name."""
    ends = (findings.frame, *findings.span())
    sought = np.unique(np.concatenate(ends))
    frame, first, last = (np.searchsorted(sought, end) for end in ends)
    view = _frame_view(run, frames_told(told, sought))
    return findings.replace(frame=frame, first_frame=first, last_frame=last), view


def _objects(
    findings: Findings, view: Snapshot, chance: FloatArray, people: dict[int, str]
) -> Iterator[dict[str, Any]]:
    columns = {**_columns(findings, view, people), "p_error": _numbers(chance)}
    for values in zip(*(columns[name] for name in FIELDS), strict=True):
        yield dict(zip(FIELDS, values, strict=True))


def _columns(f: Findings, view: Snapshot, people: dict[int, str]) -> dict[str, list[Any]]:
    frames: Frames = view.frames
    names = np.array([*view.labels, None], dtype=object)
    codes = np.array([t.code for t in FindingType], dtype=object)
    jobs, (first, last) = frames.job[f.frame], f.span()
    return {
        "id": f.id.tolist(),
        "type": codes[f.type].tolist(),
        "image": frames.name[f.frame].tolist(),
        "frame": frames.number[f.frame].tolist(),
        "annotation_id": _ids(f.annotation_id),
        "label": names[f.label].tolist(),
        "suggested_label": names[f.suggested_label].tolist(),
        "bbox_xyxy": _boxes(f.xyxy),
        "suggested_bbox_xyxy": _boxes(f.suggested_xyxy),
        "iou": _numbers(f.iou),
        "prediction_score": _numbers(f.prediction_score),
        "score": _numbers(f.score),
        "reason": f.reason.tolist(),
        "link": frame_links(view, f.frame).tolist(),
        "job": _ids(jobs),
        "assignee": [people.get(job) or None for job in jobs.tolist()],
        "frames": f.frames.tolist(),
        "first_frame": frames.number[first].tolist(),
        "last_frame": frames.number[last].tolist(),
    }


def _ids(values: np.ndarray) -> list[int | None]:
    return [v if v >= 0 else None for v in values.tolist()]


def _numbers(values: FloatArray) -> list[float | None]:
    return [v if ok else None for v, ok in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)]


def _boxes(xyxy: FloatArray) -> list[list[float] | None]:
    finite: list[bool] = np.isfinite(xyxy).all(axis=1).tolist()  # type: ignore[assignment]  # numpy types all(axis) as Any
    return [box if ok else None for box, ok in zip(xyxy.tolist(), finite, strict=True)]
