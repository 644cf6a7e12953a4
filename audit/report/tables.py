"""Only the rows and columns of a run's tables that a report needs, so that memory stays flat."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.core.annotations import NO_ID, Annotations, Frames
from audit.core.findings import Findings
from audit.core.table import IntArray, objects
from audit.report.plots import Charts, Marks
from audit.report.rows import assignees
from audit.report.statistics import Counting, Shapes, Statistics, Told
from audit.run_rows import pieces
from audit.runs import RunFolder, from_arrow, rows_of


def run_statistics(run: RunFolder, *, threshold: float, findings: Findings | None = None) -> Statistics:
    """The statistics of a run; see ``audit.report.statistics``. findings: those that count, None for the run's."""
    annotations = run.path / "annotations.parquet"
    counting = Counting(
        _jobs(run),
        int(pq.read_metadata(annotations).num_rows),
        run.labels,
        assignees=assignees(run),
        threshold=threshold,
    )
    for piece in pieces(run, "findings", Told) if findings is None else [findings]:
        counting.findings(piece)
    for shapes in pieces(run, "annotations", Shapes):
        counting.shapes(shapes)
    return counting.statistics()


def shape_columns(run: RunFolder) -> Shapes:
    """Frame, label, type and crowd flag of every annotation, without their outlines and masks."""
    return Shapes.concat(pieces(run, "annotations", Shapes))


def run_charts(run: RunFolder, *, threshold: float) -> Charts:
    """The charts of all findings."""
    charts = Charts(run.n_frames, threshold)
    for piece in pieces(run, "findings", Marks):
        charts.add(piece)
    return charts


def worst_rows(run: RunFolder, count: int) -> IntArray:
    """The rows of so many findings, highest score first."""
    rows, best, first = np.zeros(0, np.int64), np.zeros(0), 0
    for _, scores in run.types_and_scores():
        rows, best = np.append(rows, np.arange(first, first + len(scores))), np.append(best, scores)
        kept = np.argsort(-best, kind="stable")[:count]
        rows, best, first = rows[kept], best[kept], first + len(scores)
    return rows


def frames_at(run: RunFolder, rows: IntArray) -> Frames:
    """The frames of a run, of which only these rows are filled: the names and paths of all take too much memory."""
    sought = np.unique(rows)
    some: Frames = from_arrow(rows_of(run.path / "frames.parquet", sought), Frames, run.labels)
    empty, filled = Frames(name=objects([""]), number=np.array([NO_ID])).columns(), {}
    for name, values in some.columns().items():
        filled[name] = np.repeat(empty[name], run.n_frames)
        filled[name][sought] = values
    return Frames(**filled)


def _jobs(run: RunFolder) -> IntArray:
    """(frames,) the job of each, -1 for none."""
    job = pq.read_table(run.path / "frames.parquet", columns=["job"], use_threads=False)["job"]
    return np.asarray(job.fill_null(NO_ID).to_numpy(), dtype=np.int64)


def annotations_at(run: RunFolder, rows: IntArray) -> Annotations:
    """The annotations at these rows of the table."""
    annotations: Annotations = from_arrow(rows_of(run.path / "annotations.parquet", rows), Annotations, run.labels)
    return annotations


def annotations_of(run: RunFolder, frame: int) -> Annotations:
    """The annotations of one frame (a row of the run's frames)."""
    import pyarrow.dataset as ds  # imports pandas, where that is installed: .2 s

    table = ds.dataset(run.path / "annotations.parquet").to_table(filter=pc.field("frame") == frame)
    annotations: Annotations = from_arrow(table, Annotations, run.labels)
    return annotations
