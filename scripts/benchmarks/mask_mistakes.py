"""Plants mistakes into clean masks, and judges findings by them.

Written apart from ``audit.trust.planting_masks``, from which the tool learns, and by other means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from audit.core.annotations import Annotations
from audit.core.masks import decode, encode
from audit.core.table import BoolArray
from scripts.benchmarks.mask_sets import with_masks
from scripts.benchmarks.mistakes import average_precision

RATE = 0.05
"""Masks spoilt per kind, as a share of all."""
IOU = (0.45, 0.85)
"""Of a spoilt mask with the true one."""
LEAST_PX = 100
"""Smaller masks are left as they are."""
KINDS = ("eroded", "dilated", "shifted", "cut", "merged", "split")
DISC = ndimage.generate_binary_structure(2, 1)
Spoiler = Callable[[BoolArray, float, np.random.Generator], BoolArray]


@dataclass
class SpoiltMasks:
    """Labels with known mistakes. wrong: kind by annotation id. other_piece: id of a second piece → first's."""

    annotations: Annotations
    wrong: dict[int, str] = field(default_factory=dict)
    other_piece: dict[int, int] = field(default_factory=dict)

    def planted(self, kind: str) -> int:
        """How many of this kind."""
        return sum(k == kind for k in self.wrong.values())


def spoil_masks(clean: Annotations, frame_hw: np.ndarray, seed: int) -> SpoiltMasks:
    """Erode, dilate, shift, cut, merge and split ``RATE`` of the masks each (fewer merged: neighbours are few)."""
    rng, n = np.random.default_rng(seed), len(clean)
    k = max(1, round(RATE * n))
    pixels = [decode(m, tuple(frame_hw[f].tolist())) for m, f in zip(clean.mask, clean.frame, strict=True)]
    free = [i for i in rng.permutation(n).tolist() if pixels[i].sum() >= LEAST_PX]
    ids, dropped = np.arange(n) + 1, set()
    spoilt = SpoiltMasks(clean)
    for one, other in _couples(clean, pixels, free)[:k]:
        pixels[one] = pixels[one] | pixels[other]
        spoilt.wrong[int(ids[one])] = "merged"
        dropped.add(other)
        free = [i for i in free if i not in (one, other)]
    for kind, spoil in SPOILERS.items():
        chosen, free = free[:k], free[k:]
        for i in chosen:
            pixels[i] = spoil(pixels[i], float(rng.uniform(*IOU)), rng)
            spoilt.wrong[int(ids[i])] = kind
    pieces = []
    for new_id, i in enumerate(free[:k], start=n + 1):
        first = _halved(pixels[i], rng)
        pieces.append(clean[[i]].replace(mask=[encode(pixels[i] & ~first)], annotation_id=[new_id]))
        pixels[i] = first
        spoilt.wrong[int(ids[i])] = "split"
        spoilt.other_piece[new_id] = int(ids[i])
    kept = np.array([i for i in range(n) if i not in dropped])
    rows = [clean.replace(mask=[encode(m) for m in pixels], annotation_id=ids)[kept], *pieces]
    together = Annotations.concat(rows)
    together = together[np.argsort(together.frame, kind="stable")]
    spoilt.annotations = with_masks(together, together.mask.tolist(), frame_hw)
    return spoilt


def _iou(a: BoolArray, b: BoolArray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def _until(steps: Callable[[BoolArray], BoolArray]) -> Spoiler:
    """Repeat a small change until the mask overlaps its former self by no more than wanted, or would vanish."""

    def spoil(mask: BoolArray, iou: float, _rng: np.random.Generator) -> BoolArray:
        changed = mask
        while _iou(changed, mask) > iou:
            after = steps(changed)
            if after.sum() < 0.3 * mask.sum() or (after == changed).all():
                break
            changed = after
        return changed

    return spoil


def _shifted(mask: BoolArray, iou: float, rng: np.random.Generator) -> BoolArray:
    angle, moved = rng.uniform(0, 2 * np.pi), mask
    for step in np.arange(0.5, max(mask.shape), 0.5):
        moved = ndimage.shift(mask.astype(np.uint8), step * np.array([np.sin(angle), np.cos(angle)]), order=0) > 0
        if _iou(moved, mask) <= iou or moved.sum() < 0.5 * mask.sum():
            break
    return np.asarray(moved)


def _cut(mask: BoolArray, iou: float, rng: np.random.Generator) -> BoolArray:
    """Without a strip at one of its four sides."""
    y, x = np.nonzero(mask)
    values = (x, y, -x, -y)[rng.integers(4)]
    kept = values <= np.quantile(values, iou)
    out = np.zeros_like(mask)
    out[y[kept], x[kept]] = True
    return out


def _halved(mask: BoolArray, rng: np.random.Generator) -> BoolArray:
    """A part of 35 to 65 % on one side of an upright or level line."""
    return _cut(mask, float(rng.uniform(0.35, 0.65)), rng)


SPOILERS: dict[str, Spoiler] = {
    "eroded": _until(lambda m: ndimage.binary_erosion(m, DISC)),
    "dilated": _until(lambda m: ndimage.binary_dilation(m, DISC)),
    "shifted": _shifted,
    "cut": _cut,
}


def _couples(a: Annotations, pixels: list[BoolArray], free: list[int]) -> list[tuple[int, int]]:
    """Pairs of one name and similar size whose gap is at most half the smaller one's side; each label once."""
    taken: set[int] = set()
    found = []
    for i in free:
        for j in free:
            if i == j or {i, j} & taken or a.frame[i] != a.frame[j] or a.label[i] != a.label[j]:
                continue
            smaller = float(np.sqrt(min(pixels[i].sum(), pixels[j].sum())))
            if smaller < 0.4 * np.sqrt(max(pixels[i].sum(), pixels[j].sum())):
                continue
            gap = np.maximum(a.xyxy[i, :2] - a.xyxy[j, 2:], a.xyxy[j, :2] - a.xyxy[i, 2:]).max()
            if gap <= smaller / 2:
                found.append((i, j))
                taken |= {i, j}
    return found


def figures(ids: list[int], spoilt: SpoiltMasks) -> dict[str, float]:
    """Average precision of a ranking of annotation ids, best first: of all, of each kind; precision in the top 30.

    A split mask is found by either piece. Of a kind: those found of other kinds are left out of the ranking.
    """
    used: set[int] = set()
    found: list[str] = []
    for given in ids:
        key = spoilt.other_piece.get(given, given)
        kind = spoilt.wrong.get(key, "")
        found.append("again" if key in used else kind)
        used |= {key} if kind else set()
    kinds = np.array([f for f in found if f != "again"])
    rows = {"all": average_precision(kinds != "", len(spoilt.wrong))}
    for kind in KINDS:
        rest = kinds[(kinds == "") | (kinds == kind)]
        planted = spoilt.planted(kind)
        rows[kind] = average_precision(rest == kind, planted) if planted else float("nan")
    best = min(30, len(spoilt.wrong))
    return {**rows, "top 30": float((kinds[:30] != "").sum() / best)}
