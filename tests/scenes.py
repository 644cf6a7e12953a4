"""Seeded scenes for tests and benchmarks: labels, and predictions that mostly follow them."""

from __future__ import annotations

import numpy as np

from audit.core.annotations import Annotations, Frames, Predictions, Snapshot
from audit.core.table import FloatArray

SIDE = 600


def scene(
    seed: int, *, frames: int = 20, per_frame: float = 7.0, predicted: float = 30.0, labels: int = 5
) -> tuple[Snapshot, Predictions]:
    """A snapshot and predictions sorted by frame; a third of the predictions follow a label, most are faint."""
    rng = np.random.default_rng(seed)
    n, m = rng.poisson(frames * per_frame), rng.poisson(frames * predicted)
    frame = np.sort(rng.integers(0, frames, n))
    annotations = Annotations(
        xyxy=boxes(rng, n),
        frame=frame,
        label=rng.integers(0, labels, n),
        annotation_id=rng.permutation(n) + 1,
    )
    follows = (rng.random(m) < 0.35) & (n > 0)
    source = rng.integers(0, max(n, 1), m)
    shaken = annotations.xyxy[source] + rng.normal(0, 6, (m, 4)) if n else np.zeros((m, 4))
    shaken[:, 2:] = np.maximum(shaken[:, 2:], shaken[:, :2] + 1)
    p_frame = np.where(follows, frame[source] if n else 0, rng.integers(0, frames, m))
    right = rng.random(m) < 0.8
    p_label = np.where(follows & right, annotations.label[source] if n else 0, rng.integers(0, labels, m))
    score = np.where(follows, rng.beta(2, 1.5, m), rng.beta(0.4, 4, m)).clip(0.01, 1)
    order = np.argsort(p_frame, kind="stable")
    predictions = Predictions(
        xyxy=np.where(follows[:, None], shaken, boxes(rng, m))[order],
        frame=p_frame[order],
        label=p_label[order],
        score=score[order],
    )
    table = Frames(
        name=[f"{i:06d}.jpg" for i in range(frames)],
        number=np.arange(frames),
        width=np.full(frames, SIDE),
        height=np.full(frames, SIDE),
    )
    return Snapshot(f"scene {seed}", tuple(f"label {i}" for i in range(labels)), table, annotations), predictions


def boxes(rng: np.random.Generator, n: int) -> FloatArray:
    """(n, 4) boxes inside the picture, sides log-normal around 60 px."""
    side = np.exp(rng.normal(4.1, 0.8, (n, 2))).clip(4, SIDE - 2)
    corner = rng.uniform(0, 1, (n, 2)) * (SIDE - side)
    return np.hstack([corner, corner + side])
