"""The worst false alarms and misses of an audit of labels with planted mistakes, as two sheets of crops to look at.

``python -m scripts.benchmarks.worst --set NAME ANNOTATIONS RESULTS --images FOLDER OUT``: writes
OUT/alarms.png and OUT/misses.png, and says in a line each what they show.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from audit.core.annotations import Annotations, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray
from scripts.benchmarks.labelled import LabelledSet, from_files
from scripts.benchmarks.mistakes import Spoilt, judge, spoil
from scripts.benchmarks.quality import ours

COLUMNS, TILE_PX, TEXT_PX = 5, 300, 34
GIVEN, PROPOSED = (255, 60, 60), (60, 230, 90)


@dataclass(frozen=True)
class Case:
    """One crop. given: the box as labelled, proposed: what is predicted or was true; either may be missing (None)."""

    frame: int
    text: str
    given: FloatArray | None
    proposed: FloatArray | None


def alarms(findings: Findings, spoilt: Spoilt, labels: Sequence[str], most: int = 20) -> list[Case]:
    """The likeliest findings that are no planted mistake. Some are mistakes of the original labels."""
    rows = np.flatnonzero(~judge(findings, spoilt))[:most]
    names = (*labels, "")
    return [
        Case(
            int(findings.frame[i]),
            f"{100 * findings.score[i]:.0f}% {FindingType(findings.type[i]).title}: {names[findings.label[i]]}"
            f" > {names[findings.suggested_label[i]]}",
            _box(findings.xyxy[i]),
            _box(findings.suggested_xyxy[i]),
        )
        for i in rows
    ]


def misses(findings: Findings, spoilt: Spoilt, clean: Annotations, labels: Sequence[str], most: int = 20) -> list[Case]:
    """Planted mistakes of the largest objects whose finding is last or nowhere."""
    hits = judge(findings, spoilt)
    found = {
        (int(t), int(a)): float(s)
        for t, a, s in zip(findings.type[hits], findings.annotation_id[hits], findings.score[hits], strict=True)
        if t != FindingType.MISSING_ANNOTATION
    }
    was = {i + 1: clean.xyxy[i] for i in range(len(clean))}
    a = spoilt.annotations
    row = {int(i): r for r, i in enumerate(a.annotation_id)}
    cases = [
        (
            found.get((kind, i), 0.0),
            _planted(kind, int(a.frame[row[i]]), labels[a.label[row[i]]], a.xyxy[row[i]], was.get(i)),
        )
        for kind, i in sorted(spoilt.wrong)
        if i in row
    ]
    seen = {
        (int(f), tuple(b))
        for f, b in zip(findings.frame[hits], findings.suggested_xyxy[hits].round().tolist(), strict=True)
    }
    lost = [
        (0.0, Case(int(d.frame[0]), f"Missing label: {labels[d.label[0]]}", None, d.xyxy[0]))
        for d in (spoilt.dropped[[i]] for i in range(len(spoilt.dropped)))
        if not _found_at(d, seen)
    ]
    ordered = sorted([*cases, *lost], key=lambda c: (c[0], -_size(c[1])))
    return [Case(c.frame, f"{100 * score:.0f}% {c.text}", c.given, c.proposed) for score, c in ordered[:most]]


def _planted(kind: int, frame: int, label: str, given: FloatArray, was: FloatArray | None) -> Case:
    return Case(frame, f"{FindingType(kind).title}: {label}", given, was)


def _found_at(dropped: Annotations, seen: Iterable[tuple[int, tuple[float, ...]]]) -> bool:
    there = np.array([b for f, b in seen if f == dropped.frame[0]]).reshape(-1, 4)
    return bool((iou_matrix(dropped.xyxy, np.nan_to_num(there)) >= 0.5).any())


def _size(case: Case) -> float:
    box = case.proposed if case.given is None else case.given
    return 0.0 if box is None else float((box[2:] - box[:2]).prod())


def _box(xyxy: FloatArray) -> FloatArray | None:
    return xyxy if np.isfinite(xyxy).all() else None


def sheet(cases: Sequence[Case], images: Sequence[Path], out: Path) -> None:
    """Write the crops with their boxes (red: as labelled, green: as predicted or as it was) as one picture."""
    rows = -(-len(cases) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * TILE_PX, max(rows, 1) * (TILE_PX + TEXT_PX)), "white")
    for i, case in enumerate(cases):
        tile = _tile(Image.open(images[case.frame]).convert("RGB"), case)
        corner = (i % COLUMNS * TILE_PX, i // COLUMNS * (TILE_PX + TEXT_PX))
        page.paste(tile, corner)
        ImageDraw.Draw(page).text(
            (corner[0] + 4, corner[1] + TILE_PX + 2), f"{i + 1}. {case.text}", "black", font_size=13
        )
    page.save(out)


def _tile(image: Image.Image, case: Case) -> Image.Image:
    boxes = [(b, colour) for b, colour in ((case.given, GIVEN), (case.proposed, PROPOSED)) if b is not None]
    corners = np.array([b for b, _ in boxes])
    low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
    side = max(float((high - low).max()) * 1.8, 80)
    left, top = (low + high) / 2 - side / 2
    scale = TILE_PX / side
    crop = image.transform((TILE_PX, TILE_PX), Image.Transform.AFFINE, (1 / scale, 0, left, 0, 1 / scale, top))
    draw = ImageDraw.Draw(crop)
    for box, colour in boxes:
        draw.rectangle(
            [*((box[:2] - [left, top]) * scale), *((box[2:] - [left, top]) * scale)], outline=colour, width=3
        )
    return crop


def main() -> None:
    """Read the options, spoil, audit, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", nargs=3, required=True, metavar=("NAME", "ANNOTATIONS", "RESULTS"))
    parser.add_argument("--images", type=Path, required=True, help="folder that the file names are relative to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    data = from_files(args.set[0], Path(args.set[1]), Path(args.set[2]))
    images = [args.images / name for name in data.snapshot.frames.name]
    args.out.mkdir(parents=True, exist_ok=True)
    _draw(data, images, args.seed, args.out)


def _draw(data: LabelledSet, images: Sequence[Path], seed: int, out: Path) -> None:
    clean, labels = data.snapshot.annotations, data.snapshot.labels
    spoilt = spoil(clean, data.frame_hw, seed)
    findings = ours(Snapshot(data.name, labels, data.snapshot.frames, spoilt.annotations), data.predictions)
    for name, cases in (
        ("alarms", alarms(findings, spoilt, labels)),
        ("misses", misses(findings, spoilt, clean, labels)),
    ):
        sheet(cases, images, out / f"{name}.png")
        for i, case in enumerate(cases, start=1):
            print(f"{name} {i}: {data.snapshot.frames.name[case.frame]}: {case.text}")


if __name__ == "__main__":
    main()
