"""What the models see often and nobody has labelled anywhere: rarely told as missing, so it is said as a whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from audit.core.table import IntArray
from audit.core.words import amount

SURE = 0.5
"""Predictions from here on count."""
FEWEST_FRAMES = 3
"""On fewer frames it may be the model's mistake."""
SHOWN = 5
ROWS_AT_ONCE = 1 << 17


def notes(predictions: Path, labels: Sequence[str], used: Collection[str]) -> tuple[str, ...]:
    """A line for the user, or none. predictions: the run's table, by frame. used: names that any annotation has."""
    frames = frames_by_label(predictions, labels)
    seen = [(int(frames[code]), name) for code, name in enumerate(labels) if name not in used]
    often = sorted((s for s in seen if s[0] >= FEWEST_FRAMES), key=lambda s: (-s[0], s[1]))
    if not often:
        return ()
    told = ", ".join(f"'{name}' on {amount(count, 'frame')}" for count, name in often[:SHOWN])
    more = f" and {len(often) - SHOWN} more labels" if len(often) > SHOWN else ""
    return (
        f"predicted at 50 % or more, but labelled nowhere: {told}{more}. So hardly any of it is told as Missing label; "
        "if it should be labelled, list it with --min-score 0, or draw it with 'cvat-audit prelabel'",
    )


def frames_by_label(predictions: Path, labels: Sequence[str]) -> IntArray:
    """(labels,) on how many frames each is predicted at ``SURE`` or more."""
    counts = np.zeros(len(labels), np.int64)
    last = np.full(len(labels), -1)  # frame of each label's latest count: rows of one frame may come in two pieces
    codes = {name: code for code, name in enumerate(labels)}
    with pq.ParquetFile(predictions) as file:
        for piece in file.iter_batches(ROWS_AT_ONCE, columns=["frame", "label", "score"], use_threads=False):
            sure = np.asarray(piece["score"]) >= SURE
            names = np.array([codes[n] for n in piece["label"].dictionary.to_pylist()] or [0])
            label = names[np.asarray(piece["label"].indices.fill_null(0))[sure]]
            pairs = np.unique(np.column_stack([label, np.asarray(piece["frame"])[sure]]), axis=0)
            new = pairs[pairs[:, 1] > last[pairs[:, 0]]]
            counts += np.bincount(new[:, 0], minlength=len(labels))
            np.maximum.at(last, new[:, 0], new[:, 1])
    return counts
