"""Only the rows and columns of a run's tables that a report needs, so that memory stays flat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from audit.core.annotations import Annotations, ShapeType
from audit.core.findings import Findings, FindingType
from audit.core.table import IntArray
from audit.report.plots import Marks
from audit.report.rows import assignees
from audit.report.statistics import Shapes, Statistics, summarise
from audit.runs import BATCH_ROWS, RunFolder, from_arrow, rows_of


def run_statistics(run: RunFolder, *, threshold: float, findings: Findings | None = None) -> Statistics:
    """The statistics of a run; see ``audit.report.statistics``. findings: the run's, if they are read already."""
    return summarise(
        shape_columns(run),
        run.frames(),
        run.findings() if findings is None else findings,
        run.labels,
        assignees=assignees(run),
        threshold=threshold,
    )


def shape_columns(run: RunFolder) -> Shapes:
    """Frame, label, type and crowd flag of every annotation, without their outlines and masks."""
    kinds = {t.name.lower(): int(t) for t in ShapeType}
    labels = {name: i for i, name in enumerate(run.labels)}
    with pq.ParquetFile(run.path / "annotations.parquet") as file:
        return Shapes.concat(
            Shapes(
                frame=batch["frame"].to_numpy(zero_copy_only=False),
                label=_codes(batch["label"], labels),
                shape=_codes(batch["shape"], kinds),
                crowd=batch["crowd"].to_numpy(zero_copy_only=False),
            )
            for batch in file.iter_batches(BATCH_ROWS, columns=["frame", "label", "shape", "crowd"])
        )


def finding_marks(run: RunFolder) -> Marks:
    """Type, frame, score and overlap of every finding, ranked."""
    kinds = {t.code: int(t) for t in FindingType}
    with pq.ParquetFile(run.path / "findings.parquet") as file:
        return Marks.concat(
            Marks(
                type=_codes(batch["type"], kinds),
                frame=batch["frame"].to_numpy(zero_copy_only=False),
                score=batch["score"].to_numpy(zero_copy_only=False),
                iou=batch["iou"].to_numpy(zero_copy_only=False),
            )
            for batch in file.iter_batches(BATCH_ROWS, columns=["type", "frame", "score", "iou"])
        )


def annotations_at(run: RunFolder, rows: IntArray) -> Annotations:
    """The annotations at these rows of the table."""
    annotations: Annotations = from_arrow(rows_of(run.path / "annotations.parquet", rows), Annotations, run.labels)
    return annotations


def annotations_of(run: RunFolder, frame: int) -> Annotations:
    """The annotations of one frame (a row of the run's frames)."""
    table = ds.dataset(run.path / "annotations.parquet").to_table(filter=pc.field("frame") == frame)
    annotations: Annotations = from_arrow(table, Annotations, run.labels)
    return annotations


def _codes(values: Any, codes: dict[str, int]) -> IntArray:
    words = pa.array(list(codes), pa.string())
    found = pc.index_in(values.cast(pa.string()), value_set=words) if len(words) else pa.nulls(len(values), pa.int32())
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
