"""Only the rows and columns of a run's tables that a report needs, so that memory stays flat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from audit.core.annotations import Annotations, Predictions, ShapeType
from audit.core.table import IntArray
from audit.report.rows import assignees
from audit.report.statistics import Shapes, Statistics, summarise
from audit.runs import RunFolder, from_arrow


def run_statistics(run: RunFolder, *, threshold: float) -> Statistics:
    """The statistics of a run; see ``audit.report.statistics``."""
    return summarise(
        shape_columns(run),
        run.frames(),
        run.findings(),
        run.labels,
        assignees=assignees(run),
        threshold=threshold,
    )


def shape_columns(run: RunFolder) -> Shapes:
    """Frame, label, type and crowd flag of every annotation, without their outlines and masks."""
    kinds = {t.name.lower(): int(t) for t in ShapeType}
    labels = {name: i for i, name in enumerate(run.labels)}
    scanner = ds.dataset(run.path / "annotations.parquet").scanner(columns=["frame", "label", "shape", "crowd"])
    return Shapes.concat(
        Shapes(
            frame=batch["frame"].to_numpy(zero_copy_only=False),
            label=_codes(batch["label"], labels),
            shape=_codes(batch["shape"], kinds),
            crowd=batch["crowd"].to_numpy(zero_copy_only=False),
        )
        for batch in scanner.to_batches()
    )


def annotations_at(run: RunFolder, rows: IntArray) -> Annotations:
    """The annotations at these rows, in this order; -1 is not allowed."""
    if not len(rows):
        return Annotations()
    table = ds.dataset(run.path / "annotations.parquet").take(pa.array(rows, pa.int64()))
    annotations: Annotations = from_arrow(table, Annotations, run.labels)
    return annotations


def predictions_at(run: RunFolder, rows: IntArray) -> Predictions:
    """The predictions at these rows, in this order; -1 is not allowed."""
    return run.predictions_at(rows) if len(rows) else Predictions()


def _codes(values: Any, codes: dict[str, int]) -> IntArray:
    words = pa.array(list(codes), pa.string())
    found = pc.index_in(values.cast(pa.string()), value_set=words) if len(words) else pa.nulls(len(values), pa.int32())
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
