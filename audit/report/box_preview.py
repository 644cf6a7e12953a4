"""The preview of ``boxes2masks``: crops before and after in one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.core.annotations import Snapshot
from audit.loop.masks_of_boxes import Masked, Outline
from audit.ports import Progress
from audit.report.crops import BUDGET_BYTES, View, data_uri, jpeg, view_of
from audit.report.gallery import read_pixels, safe_link, shorten
from audit.report.outlines import box_path, mask_rings
from audit.report.pages import write_page

GOOD_SHOWN, POOR_SHOWN = 60, 36
MAX_CROP_BYTES = 45_000


@dataclass(frozen=True)
class Pair:
    """One rectangle before and after. photo: data URI, "" for none. before, after: SVG path data in view pixels."""

    label: str
    image: str
    link: str
    score: float
    overlap: float
    poor: str
    note: str
    view: View
    photo: str
    before: str
    after: str


@dataclass(frozen=True)
class Counted:
    """One row of the table. Numbers of rectangles."""

    label: str
    good: int
    poor: int


def write_preview(
    path: Path,
    snapshot: Snapshot,
    found: Sequence[Masked],
    *,
    kind: str,
    model: str,
    outline: Callable[[bytes, tuple[int, int]], Outline],
    progress: Progress,
) -> None:
    """Write the page: counts per label, some good masks of every label, and the poorest of those left alone.

    kind: "mask", "polygon" or "box", which is what "after" shows. Raises ServiceError if it cannot be written.
    """
    shown = chosen(snapshot, found)
    drawn = dict(_pairs(snapshot, shown, kind, outline, progress))
    pairs = [drawn[m.row] for m in shown]
    values = {
        "source": shorten(snapshot.source),
        "model": shorten(model),
        "kind": kind,
        "counts": counted(snapshot, found),
        "good": [p for p in pairs if not p.poor],
        "poor": [p for p in pairs if p.poor],
        "n_good": sum(not m.poor for m in found),
        "n_poor": sum(bool(m.poor) for m in found),
    }
    write_page(path, "boxes2masks.html.j2", values)


def counted(snapshot: Snapshot, found: Sequence[Masked]) -> list[Counted]:
    """Rectangles by label, most first."""
    tally: dict[str, list[int]] = {}
    for m in found:
        tally.setdefault(_name(snapshot, m), [0, 0])[bool(m.poor)] += 1
    return sorted((Counted(n, *c) for n, c in tally.items()), key=lambda c: (-c.good - c.poor, c.label))


def chosen(snapshot: Snapshot, found: Sequence[Masked]) -> list[Masked]:
    """Good ones of every label in turn, from the least to the most certain; then the poor ones, poorest first."""
    by_label: dict[str, list[Masked]] = {}
    for m in sorted((m for m in found if not m.poor), key=lambda m: (m.overlap, m.row)):
        by_label.setdefault(_name(snapshot, m), []).append(m)
    each = max(GOOD_SHOWN // max(len(by_label), 1), 2)
    good = [m for group in by_label.values() for m in _spread(group, each)][:GOOD_SHOWN]
    poor = sorted((m for m in found if m.poor), key=lambda m: (m.cut.score, m.overlap, m.row))
    return [*good, *_spread(poor, POOR_SHOWN)]


def _spread(items: Sequence[Masked], count: int) -> list[Masked]:
    """At most so many, evenly from first to last."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int).tolist()]


def _pairs(
    snapshot: Snapshot,
    shown: Sequence[Masked],
    kind: str,
    outline: Callable[[bytes, tuple[int, int]], Outline],
    progress: Progress,
) -> Mapping[int, Pair]:
    frames = snapshot.annotations.frame
    by_frame: dict[int, list[Masked]] = {}
    for m in shown:
        by_frame.setdefault(int(frames[m.row]), []).append(m)
    made: dict[int, Pair] = {}
    most = min(MAX_CROP_BYTES, BUDGET_BYTES // max(len(shown), 1))
    with progress.task("Crops", len(by_frame)) as advance:
        for frame, group in by_frame.items():
            pixels, _ = read_pixels(snapshot.frames, frame)
            made.update((m.row, _pair(snapshot, m, kind, outline, pixels, most)) for m in group)
            advance()
    return made


def _pair(
    snapshot: Snapshot,
    masked: Masked,
    kind: str,
    outline: Callable[[bytes, tuple[int, int]], Outline],
    pixels: NDArray[np.uint8] | None,
    most: int,
) -> Pair:
    a, f, frame = snapshot.annotations, snapshot.frames, int(snapshot.annotations.frame[masked.row])
    wh = int(f.width[frame]), int(f.height[frame])
    view = view_of(np.array([a.xyxy[masked.row], masked.box]), wh)
    after, note = _after(masked, kind, outline, view, wh)
    before = box_path("existing", a.xyxy[masked.row], view)
    return Pair(
        label=_name(snapshot, masked),
        image=shorten(str(f.name[frame])),
        link=safe_link(snapshot.frame_link(frame)),
        score=masked.cut.score,
        overlap=masked.overlap,
        poor=masked.poor,
        note=note,
        view=view,
        photo="" if pixels is None else data_uri(jpeg(pixels, view, most)),
        before=before.d if before else "",
        after=after,
    )


def _after(
    masked: Masked, kind: str, outline: Callable[[bytes, tuple[int, int]], Outline], view: View, wh: tuple[int, int]
) -> tuple[str, str]:
    """Path data of what would be written, and what a polygon cannot show."""
    counts = masked.cut.counts
    if counts is None:
        return "", ""
    if kind == "box":
        drawn = box_path("proposed", np.array(masked.box), view)
        return (drawn.d if drawn else ""), ""
    if kind == "polygon":
        made = outline(counts, (wh[1], wh[0]))
        note = ", ".join(t for t in (f"{len(made.ring)} points", made.note) if t)
        return _ring(np.array(made.ring).reshape(-1, 2), view), note
    return "".join(_ring(ring, view) for ring in mask_rings(counts, wh, view)), ""


def _ring(ring: NDArray[np.float64], view: View) -> str:
    shifted = ring - [view.x, view.y]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in shifted) + "Z" if len(shifted) else ""


def _name(snapshot: Snapshot, masked: Masked) -> str:
    return shorten(snapshot.labels[snapshot.annotations.label[masked.row]])
