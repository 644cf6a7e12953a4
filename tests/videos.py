"""Seeded videos for tests and benchmarks: tracks, a detector that mostly follows them, and planted mistakes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from audit.core.annotations import Annotations, Frames, Predictions, Snapshot
from audit.core.findings import FindingType
from audit.core.table import FloatArray

WIDTH, HEIGHT = 1280, 720
LABELS = ("person", "car", "truck", "bicycle")
KEY_EVERY = 20
"""Frames between two key frames of a track."""
T = FindingType


@dataclass(frozen=True)
class Cause:
    """One planted mistake. first, last: frames. track: id, -1 for a missing one. label: what should be there."""

    kind: FindingType
    first: int
    last: int
    track: int
    label: int = -1


@dataclass
class Video:
    """A snapshot, predictions sorted by frame, and what was planted."""

    snapshot: Snapshot
    predictions: Predictions
    causes: list[Cause] = field(default_factory=list)


@dataclass
class _Track:
    label: int
    first: int
    boxes: FloatArray

    @property
    def frames(self) -> np.ndarray:
        return self.first + np.arange(len(self.boxes))


def video(seed: int, *, frames: int = 2000, visible: int = 6, length: int = 250, planted: int = 10) -> Video:
    """So many frames with about so many tracks each; ``planted`` mistakes, two by two of five kinds."""
    rng = np.random.default_rng(seed)
    many = max(1, frames * visible // length)
    truth = [_drawn(rng, frames, length) for _ in range(many)]
    predictions = _predicted(rng, truth, frames)
    labelled = [_interpolated(t) for t in truth]
    chosen = [int(i) for i in rng.permutation(many) if len(truth[int(i)].boxes) >= length // 2]
    causes: list[Cause] = []
    gone: set[int] = set()
    kinds = (T.MISMATCHING_LABEL, T.DUPLICATE_ANNOTATION, T.EXTRA_ANNOTATION, T.LOW_OVERLAP, T.MISSING_ANNOTATION)
    for number in range(planted):
        kind, at = kinds[number % len(kinds)], chosen[number]
        causes.append(_plant(rng, kind, at, labelled, gone, frames))
    names = [i for i in range(len(labelled)) if i not in gone]
    snapshot = Snapshot(f"video {seed}", LABELS, _frames(frames), _rows([labelled[i] for i in names], names))
    return Video(snapshot, predictions, causes)


def _drawn(rng: np.random.Generator, frames: int, length: int) -> _Track:
    """A box that wanders smoothly."""
    n = int(min(rng.integers(length // 2, length * 3 // 2), frames))
    first = int(rng.integers(0, frames - n + 1))
    t = np.arange(n)
    side = np.exp(rng.normal(4.4, 0.3, 2))
    centre = rng.uniform([200, 150], [WIDTH - 200, HEIGHT - 150])
    speed = rng.normal(0, 0.4, 2)
    sway = rng.uniform(5, 25, 2) * np.sin(t[:, None] / rng.uniform(40, 90, 2) + rng.uniform(0, 6, 2))
    middle = np.clip(centre + t[:, None] * speed + sway, side / 2, np.array([WIDTH, HEIGHT]) - side / 2)
    return _Track(int(rng.integers(0, len(LABELS))), first, np.hstack([middle - side / 2, middle + side / 2]))


def _interpolated(track: _Track) -> _Track:
    """As a person labels it: key frames, and straight lines in between."""
    n = len(track.boxes)
    keys = np.unique([*range(0, n, KEY_EVERY), n - 1])
    boxes = np.column_stack([np.interp(np.arange(n), keys, track.boxes[keys, i]) for i in range(4)])
    return _Track(track.label, track.first, boxes)


def _plant(
    rng: np.random.Generator, kind: FindingType, at: int, labelled: list[_Track], gone: set[int], frames: int
) -> Cause:
    track = labelled[at]
    first, last = track.first, track.first + len(track.boxes) - 1
    if kind is T.MISMATCHING_LABEL:
        right, track.label = track.label, (track.label + 1) % len(LABELS)
        return Cause(kind, first, last, at, right)
    if kind is T.MISSING_ANNOTATION:
        gone.add(at)
        return Cause(kind, first, last, -1, track.label)
    if kind is T.LOW_OVERLAP:
        key = len(track.boxes) // 2 // KEY_EVERY * KEY_EVERY
        weight = np.clip(1 - np.abs(np.arange(len(track.boxes)) - key) / KEY_EVERY, 0, 1)
        side = track.boxes[0, 2:] - track.boxes[0, :2]
        track.boxes += weight[:, None] * np.tile(side * [0.35, -0.25], 2)
        return Cause(kind, first + key - KEY_EVERY, first + key + KEY_EVERY, at)
    labelled.append(_Track(track.label, track.first, track.boxes + rng.normal(0, 1.5, 4)))
    if kind is T.EXTRA_ANNOTATION:
        labelled[-1] = _interpolated(_drawn(rng, frames, 250))
        first, last = labelled[-1].first, labelled[-1].first + len(labelled[-1].boxes) - 1
    return Cause(kind, first, last, len(labelled) - 1)


def _predicted(rng: np.random.Generator, truth: list[_Track], frames: int) -> Predictions:
    """What a fair detector sees: most objects on most frames, each with habits of its own, and some ghosts."""
    parts = []
    for track in truth:
        n = len(track.boxes)
        away = np.cumsum(rng.normal(0, 0.15, n)) - np.linspace(0, 1, n) * 0.1
        score = 1 / (1 + np.exp(-(rng.normal(1.6, 0.5) + np.clip(away, -0.8, 0.8) + rng.normal(0, 0.4, n))))
        side = np.tile(track.boxes[:, 2:] - track.boxes[:, :2], 2)
        box = track.boxes + side * (rng.normal(0, 0.015, 4) + rng.normal(0, 0.015, (n, 4)))
        seen = rng.random(n) < 0.97
        parts.append((track.frames[seen], np.full(seen.sum(), track.label), score[seen], box[seen]))
        twin = rng.random(n) < 0.3
        other = (track.label + rng.integers(1, len(LABELS), n)) % len(LABELS)
        parts.append((track.frames[twin], other[twin], rng.beta(1, 12, n)[twin], box[twin]))
    ghosts = rng.poisson(frames * 2)
    side, corner = np.exp(rng.normal(4, 0.5, (ghosts, 2))), rng.uniform([0, 0], [1000, 500], (ghosts, 2))
    parts.append((
        rng.integers(0, frames, ghosts),
        rng.integers(0, len(LABELS), ghosts),
        rng.beta(0.5, 12, ghosts),
        np.hstack([corner, corner + side]),
    ))  # fmt: skip
    frame, label, score, box = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(frame, kind="stable")
    score = np.clip(score, 0.01, 1)
    return Predictions(xyxy=box[order], frame=frame[order], label=label[order], score=score[order])


def _rows(tracks: list[_Track], ids: list[int]) -> Annotations:
    frame = np.concatenate([t.frames for t in tracks])
    order = np.argsort(frame, kind="stable")
    n = [len(t.boxes) for t in tracks]
    return Annotations(
        xyxy=np.concatenate([t.boxes for t in tracks])[order],
        frame=frame[order],
        label=np.repeat([t.label for t in tracks], n)[order],
        annotation_id=np.repeat(ids, n)[order],
        track=np.ones(len(frame), bool),
    )


def _frames(n: int) -> Frames:
    return Frames(
        name=[f"frame_{i:06d}.jpg" for i in range(n)],
        number=np.arange(n),
        width=np.full(n, WIDTH),
        height=np.full(n, HEIGHT),
        task=np.full(n, 1),
        job=np.full(n, 1),
    )


def write_export(folder: Path, made: Video, *, photos: bool = False) -> tuple[Path, Path]:
    """The video as a CVAT for video export in two jobs, and its predictions as a results file.

    photos: also a picture of each frame, with the predicted objects as bars of light.
    """
    folder.mkdir(parents=True, exist_ok=True)
    s, n = made.snapshot, len(made.snapshot.frames)
    names = [name.removesuffix(".jpg") for name in s.frames.name.tolist()]
    if photos:
        (folder / "images").mkdir()
        for frame, name in enumerate(names):
            _picture(made, frame).save(folder / "images" / f"{name}.png")
    (folder / "annotations.xml").write_text(_xml(s, n), encoding="utf-8")
    p = made.predictions
    wh = p.xyxy[:, 2:] - p.xyxy[:, :2]
    rows = zip(p.frame.tolist(), p.label.tolist(), np.hstack([p.xyxy[:, :2], wh]).tolist(), p.score, strict=True)
    ending = ".png" if photos else ""
    listed = [
        {"file_name": names[f] + ending, "category_name": LABELS[c], "bbox": box, "score": float(q)}
        for f, c, box, q in rows
    ]
    results = folder.parent / "results.json"
    results.write_text(json.dumps(listed), encoding="utf-8")
    return folder, results


def _xml(s: Snapshot, n: int) -> str:
    a, half = s.annotations, n // 2
    segments = "".join(
        f"<segment><id>{i}</id><start>{x}</start><stop>{y}</stop><url>http://cvat.example/api/jobs/{i}</url></segment>"
        for i, x, y in ((1, 0, half - 1), (2, half, n - 1))
    )
    labels = "".join(f"<label><name>{name}</name></label>" for name in s.labels)
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    meta = (
        f"<meta><task><id>1</id><size>{n}</size><mode>interpolation</mode><start_frame>0</start_frame>"
        f"<labels>{labels}</labels><segments>{segments}</segments>{size}</task></meta>"
    )
    tracks = []
    for ident in np.unique(a.annotation_id).tolist():
        rows = np.flatnonzero(a.annotation_id == ident)
        keys = [_xml_box(int(a.frame[r]), a.xyxy[r].tolist()) for r in rows]
        if a.frame[rows[-1]] + 1 < n:
            keys.append(_xml_box(int(a.frame[rows[-1]]) + 1, a.xyxy[rows[-1]].tolist(), outside=1))
        tracks.append(f'<track id="{ident}" label="{s.labels[a.label[rows[0]]]}">{"".join(keys)}</track>')
    return f"<annotations><version>1.1</version>{meta}{''.join(tracks)}</annotations>"


def _xml_box(frame: int, xyxy: list[float], outside: int = 0) -> str:
    place = " ".join(f'{k}="{v:.2f}"' for k, v in zip(("xtl", "ytl", "xbr", "ybr"), xyxy, strict=True))
    return f'<box frame="{frame}" outside="{outside}" occluded="0" keyframe="1" {place}/>'


def _picture(made: Video, frame: int) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), (70, 74, 80))
    pen = ImageDraw.Draw(picture)
    p = made.predictions[made.predictions.frame == frame]
    colours = ((230, 180, 160), (120, 150, 220), (110, 180, 130), (220, 200, 90))
    for box, label, score in zip(p.xyxy.tolist(), p.label.tolist(), p.score.tolist(), strict=True):
        if score > 0.5:
            pen.rounded_rectangle(box, 12, fill=colours[label])
    return picture
