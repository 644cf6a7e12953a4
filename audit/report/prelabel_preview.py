"""The preview of ``prelabel``: frames with what a model would draw, in one HTML file that opens offline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.core.annotations import ShapeType, Snapshot
from audit.core.corrections import Correction
from audit.core.proposals import Keypoint, Proposal
from audit.core.skeletons import COCO_BONES, COCO_KEYPOINTS
from audit.ports import Progress
from audit.report.crops import BUDGET_BYTES, View, data_uri, jpeg
from audit.report.gallery import read_pixels, safe_link, shorten
from audit.report.outlines import mask_rings
from audit.report.pages import write_page

MOST_FRAMES = 24
MAX_PHOTO_BYTES = 120_000
COLOURS = ("#00e5ff", "#ffd400", "#ff6ec7", "#7cff6b", "#ff9f43", "#b28dff", "#ff6b6b", "#ffffff")
"""One for each label in turn, that show on dark and bright photographs over their dark halo."""


@dataclass(frozen=True)
class Drawn:
    """One shape. d: SVG path data, "" for none. dots: x, y of the keypoints that are seen. at: of the text."""

    label: str
    score: float
    colour: str
    d: str
    filled: bool
    dots: Sequence[tuple[float, float]]
    at: tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """One frame. photo: data URI, "" for none. unit: pixels of the frame that make about one on the page."""

    name: str
    link: str
    width: int
    height: int
    unit: float
    photo: str
    shapes: Sequence[Drawn]


def write_preview(
    path: Path, snapshot: Snapshot, drawn: Sequence[Correction], *, model: str, progress: Progress
) -> None:
    """Write the page: counts per label, and frames from first to last with their new shapes.

    drawn: creations. Raises ServiceError if it cannot be written.
    """
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(snapshot.labels)}
    frames = sorted({c.frame for c in drawn})
    shown = frames if len(frames) <= MOST_FRAMES else [frames[i] for i in _spread(len(frames))]
    values = {
        "source": shorten(snapshot.source),
        "model": shorten(model),
        "counts": [(shorten(name), n, colours[name]) for name, n in Counter(c.label for c in drawn).most_common()],
        "n_shapes": len(drawn),
        "n_frames": len(frames),
        "pictures": _pictures(snapshot, drawn, shown, colours, progress),
    }
    write_page(path, "prelabel.html.j2", values)


def _spread(count: int) -> list[int]:
    """``MOST_FRAMES`` rows, evenly from first to last."""
    return [int(i) for i in np.linspace(0, count - 1, MOST_FRAMES).round()]


def _pictures(
    snapshot: Snapshot, drawn: Sequence[Correction], shown: Sequence[int], colours: dict[str, str], progress: Progress
) -> list[Picture]:
    made, most = [], min(MAX_PHOTO_BYTES, BUDGET_BYTES // max(len(shown), 1))
    with progress.task("Pictures", len(shown)) as advance:
        for frame in shown:
            made.append(_picture(snapshot, frame, [c for c in drawn if c.frame == frame], colours, most))
            advance()
    return made


def _picture(
    snapshot: Snapshot, frame: int, drawn: Sequence[Correction], colours: dict[str, str], most: int
) -> Picture:
    f = snapshot.frames
    pixels, _ = read_pixels(f, frame)
    width, height = int(f.width[frame]), int(f.height[frame])
    if min(width, height) < 1:  # the source does not state its size
        height, width = (1, 1) if pixels is None else pixels.shape[:2]
    view = View(0, 0, width, height)
    unit = width / 390  # about the width of a card
    return Picture(
        name=shorten(str(f.name[frame])),
        link=safe_link(snapshot.frame_link(frame)),
        width=width,
        height=height,
        unit=unit,
        photo="" if pixels is None else data_uri(jpeg(pixels, view, most)),
        shapes=[_drawn(c, view, colours.get(c.label, COLOURS[0]), unit) for c in drawn if c.geometry is not None],
    )


def _drawn(correction: Correction, view: View, colour: str, unit: float) -> Drawn:
    place = correction.geometry or Proposal((0.0, 0.0, 0.0, 0.0))
    x1, y1, *_ = place.around
    at = (min(max(x1, 0.0), view.width * 0.8), min(max(y1 - 3 * unit, 10 * unit), view.height - 2 * unit))
    dots = [(k.x, k.y) for k in place.keypoints if k.seen]
    filled = correction.shape in (ShapeType.MASK, ShapeType.POLYGON)
    label = shorten(correction.label)
    return Drawn(label, float(correction.score), colour, _path(correction.shape, place, view), filled, dots, at)


def _path(shape: ShapeType, place: Proposal, view: View) -> str:
    if shape is ShapeType.SKELETON:
        return _bones(place.keypoints)
    if shape is ShapeType.MASK and place.mask is not None:
        rings = mask_rings(place.mask, (view.width, view.height), view)
        return "".join(_ring(ring.tolist()) for ring in rings)
    if place.ring:
        return _ring(place.ring)
    x1, y1, x2, y2 = place.xyxy
    return _ring([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def _bones(keypoints: Sequence[Keypoint]) -> str:
    """Lines between the seen ones, where it is known which belong together."""
    if tuple(k.name for k in keypoints) != COCO_KEYPOINTS:
        return ""
    pairs = ((keypoints[a - 1], keypoints[b - 1]) for a, b in COCO_BONES)
    return "".join(f"M{a.x:.1f} {a.y:.1f}L{b.x:.1f} {b.y:.1f}" for a, b in pairs if a.seen and b.seen)


def _ring(ring: Sequence[Sequence[float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring) + "Z" if len(ring) else ""
