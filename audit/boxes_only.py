"""Outlines that only a box speaks against: nobody can take a box over for a polygon or a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.parquet as pq

from audit.core.annotations import ShapeType
from audit.core.findings import Findings, FindingType
from audit.core.table import BoolArray, IntArray
from audit.runs import RunFolder, rows_of

OUTLINED = tuple(shape.name.lower() for shape in (ShapeType.POLYGON, ShapeType.MASK))


def boxes_only(run: RunFolder, findings: Findings) -> BoolArray:
    """(n,) Low IoU findings on a polygon or mask whose prediction is but a box.

    If accepted they become an issue, so the question must not offer the predicted outline: there is none.
    """
    found = np.zeros(len(findings), bool)
    rows = np.flatnonzero(
        (findings.type == FindingType.LOW_OVERLAP) & (findings.annotation >= 0) & (findings.prediction >= 0)
    )
    shape = _column(run, "annotations", "shape", findings.annotation[rows])
    rows = rows[[value in OUTLINED for value in shape]]
    mask = _column(run, "predictions", "mask", findings.prediction[rows])
    found[rows[[value is None for value in mask]]] = True
    return found


def _column(run: RunFolder, table: str, name: str, rows: IntArray) -> list[Any]:
    """One column of these rows; None where the file has no such column."""
    path = run.path / f"{table}.parquet"
    if not len(rows) or name not in pq.read_schema(path).names:
        return [None] * len(rows)
    values: list[Any] = rows_of(path, rows, [name])[name].to_pylist()
    return values
