"""Photographs with labelled masks, and predicted masks to audit them with: simulated ones, and LiteMedSAM's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from audit.core.annotations import Annotations, ShapeType, Snapshot
from audit.core.boxes import overlapping_pairs
from audit.core.masks import box_of, decode, encode, rle_of_rings
from audit.core.table import BoolArray, FloatArray, objects
from scripts.benchmarks.labelled import LabelledSet, detected, read_coco

STRIDE = 4
"""A YOLO's mask prototypes are a quarter of the network's picture: finer detail is lost."""
WOBBLE = 0.02
"""Standard deviation of the outline's displacement, as a share of the object's side."""
BIAS = 0.012
"""The same of a displacement outwards or inwards all around."""
PARTIAL, LEAKING = 0.10, 0.06
"""Shares of the predicted masks that lack a part, and that run over into what lies beside them."""
DRAWN_SCORE = 0.1
SEEN_IOU = 0.5
"""A predicted box that overlaps a label's by this much has seen that object."""


def read_polygons(path: Path) -> Snapshot:
    """As ``read_coco``, with each label's polygons as its mask and the box around that."""
    snapshot, _ = read_coco(path)
    data = json.loads(path.read_text())
    frame = {image["id"]: row for row, image in enumerate(data["images"])}
    shapes = sorted((a for a in data["annotations"] if not a.get("iscrowd")), key=lambda a: frame[a["image_id"]])
    hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])
    masks = []
    for shape in shapes:
        h, w = hw[frame[shape["image_id"]]].tolist()
        masks.append(rle_of_rings([np.array(r, float).reshape(-1, 2) for r in shape["segmentation"]], (h, w)))
    a = with_masks(snapshot.annotations.replace(shape=np.full(len(masks), ShapeType.MASK)), masks, hw)
    return replace(snapshot, annotations=a[np.flatnonzero(a.xyxy[:, 2] > a.xyxy[:, 0])])


def with_masks(annotations: Annotations, masks: list[bytes], frame_hw: np.ndarray) -> Annotations:
    """The annotations with these masks and the boxes around them."""
    boxes = [box_of(m, tuple(frame_hw[f].tolist())) for m, f in zip(masks, annotations.frame, strict=True)]
    return annotations.replace(mask=objects(masks), xyxy=np.array(boxes).reshape(-1, 4))


def boxes_of_detector(name: str, path: Path, detector: str = "yolo11n") -> LabelledSet:
    """The labelled masks, with a real detector's boxes as predictions, without masks yet."""
    return replace(detected(name, path, detector), snapshot=read_polygons(path))


def simulated(data: LabelledSet, seed: int) -> LabelledSet:
    """Masks for a detector's real boxes, made from the true masks. **Not a real model's masks.**

    What is real: which objects are found, missed, invented or taken for others, where their boxes lie, and the
    scores. What is made up: each predicted box that has seen an object (of whatever name) gets that object's true
    mask, stretched to the predicted box, its outline displaced by a smooth random field and coarsened as a network
    does; some lack a part, some run over. The other boxes get a lump. Gives IoUs as segmentation networks have them.
    """
    rng = np.random.default_rng(seed)
    a, p, hw = data.snapshot.annotations, data.predictions, data.frame_hw
    pairs = overlapping_pairs(a.xyxy, a.frame, p.xyxy, p.frame)
    of = np.full(len(p), -1)
    order = np.argsort(pairs.iou, kind="stable")
    seen = order[pairs.iou[order] >= SEEN_IOU]
    of[pairs.right[seen]] = pairs.left[seen]
    masks, truths = [], _truths(a, hw)
    for j in range(len(p)):
        size = tuple(hw[p.frame[j]].tolist())
        truth = truths[of[j]] if of[j] >= 0 else None
        masks.append(_simulated(truth, p.xyxy[j], size, rng))
    return _with_predicted(data, f"{data.name}, simulated masks", masks)


def lite_medsam(data: LabelledSet) -> LabelledSet:
    """Masks that LiteMedSAM, a real network with real weights, draws for a detector's real boxes. They are weak.

    Boxes below ``DRAWN_SCORE`` stay boxes: each mask takes about half a second.
    """
    from audit.adapters.pictures import decode_rgb
    from audit.serving.interacting import framed
    from audit.serving.sam_networks import Prompts, open_sam

    network = open_sam("lite_medsam", device="cpu", threads=1)
    p, hw, folder = data.predictions, data.frame_hw, Path(data.snapshot.source).parent
    masks: list[bytes | None] = [None] * len(p)
    nothing = np.zeros((0, 2))
    for frame in range(len(hw)):
        size = tuple(hw[frame].tolist())
        embedding = network.encode(decode_rgb((folder / data.snapshot.frames.name[frame]).read_bytes(), size))
        for j in np.flatnonzero((p.frame == frame) & (p.score >= DRAWN_SCORE)).tolist():
            box = np.clip(p.xyxy[j], 0, [size[1], size[0], size[1], size[0]])
            found = network.decode(embedding, Prompts(nothing, np.zeros(0, np.int64), box))
            region = framed(found.logits[int(found.score.argmax())], network.grid_gain(size), size)
            if region is not None:
                whole = np.zeros(size, np.uint8)
                left, top = region.left, region.top
                whole[top : top + region.mask.shape[0], left : left + region.mask.shape[1]] = region.mask
                x1, y1, x2, y2 = (int(v) for v in (*np.floor(box[:2]), *np.ceil(box[2:])))
                inside = np.zeros_like(whole)
                inside[y1:y2, x1:x2] = whole[y1:y2, x1:x2]
                masks[j] = encode(inside)
    return _with_predicted(data, f"{data.name}, LiteMedSAM's masks", masks)


def _with_predicted(data: LabelledSet, name: str, masks: list[bytes | None]) -> LabelledSet:
    p, hw = data.predictions, data.frame_hw
    boxes = p.xyxy.copy()
    for j, counts in enumerate(masks):
        if counts is not None:
            box = box_of(counts, tuple(hw[p.frame[j]].tolist()))
            boxes[j] = box if box[2] > box[0] else boxes[j]
    return replace(data, name=name, predictions=p.replace(mask=objects(masks), xyxy=boxes))


def _truths(a: Annotations, hw: np.ndarray) -> list[BoolArray]:
    """Each label's mask within its box."""
    found = []
    for counts, xyxy, frame in zip(a.mask, a.xyxy.astype(int), a.frame, strict=True):
        x1, y1, x2, y2 = xyxy
        found.append(decode(counts, tuple(hw[frame].tolist()))[y1:y2, x1:x2])
    return found


def _simulated(truth: BoolArray | None, new: FloatArray, hw: tuple[int, int], rng: np.random.Generator) -> bytes:
    left, top = np.floor(new[:2]).astype(int).tolist()
    right, bottom = np.ceil(new[2:]).astype(int).tolist()
    w, h = max(right - left, 1), max(bottom - top, 1)
    room = max(2 * STRIDE, round(0.15 * max(w, h)))
    y, x = np.mgrid[: h + 2 * room, : w + 2 * room].astype(float)
    u, v = (x - room + 0.5) / w, (y - room + 0.5) / h
    side = np.sqrt(w * h)
    u, v = (axis + _field(axis.shape, max(side / 6, 1), rng) for axis in (u, v))
    swell = 1 + 2 * float(rng.normal(0, BIAS))
    u, v = (u - 0.5) / swell + 0.5, (v - 0.5) / swell + 0.5
    if truth is None:
        mask = (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.22
    else:
        rows, columns = np.floor(v * truth.shape[0]).astype(int), np.floor(u * truth.shape[1]).astype(int)
        within = (rows >= 0) & (rows < truth.shape[0]) & (columns >= 0) & (columns < truth.shape[1])
        mask = within & truth[np.clip(rows, 0, truth.shape[0] - 1), np.clip(columns, 0, truth.shape[1] - 1)]
    mask = _lapse(mask, u, v, rng)
    soft = ndimage.uniform_filter(mask.astype(float), STRIDE)[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    fine = ndimage.zoom(soft, STRIDE, order=1, grid_mode=True, mode="nearest")[: mask.shape[0], : mask.shape[1]]
    mask[: fine.shape[0], : fine.shape[1]] = fine > 0.5
    whole = np.zeros(hw, np.uint8)
    y1, x1 = max(top - room, 0), max(left - room, 0)
    part = mask[y1 - top + room :, x1 - left + room :][: hw[0] - y1, : hw[1] - x1]
    whole[y1 : y1 + part.shape[0], x1 : x1 + part.shape[1]] = part
    return encode(whole)


def _field(shape: tuple[int, ...], grain: float, rng: np.random.Generator) -> FloatArray:
    """A smooth random displacement with standard deviation ``WOBBLE``; grain: its scale in pixels."""
    step = max(int(grain / 2), 1)  # a smooth field needs no finer grid
    coarse = rng.normal(size=[-(-n // step) + 3 for n in shape])
    field = ndimage.zoom(ndimage.gaussian_filter(coarse, grain / step, mode="wrap"), step, order=1)
    field = field[: shape[0], : shape[1]]
    return np.asarray(WOBBLE * field / max(field.std(), 1e-9))


def _lapse(mask: BoolArray, u: FloatArray, v: FloatArray, rng: np.random.Generator) -> BoolArray:
    """Now and then a part is lost or something beside the object is taken in."""
    chance, angle = rng.uniform(), rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * (u - 0.5) + np.sin(angle) * (v - 0.5)
    if chance < PARTIAL:
        return mask & (along < np.quantile(along[mask], rng.uniform(0.65, 0.95)) if mask.any() else mask)
    if chance < PARTIAL + LEAKING:
        return mask | ((along > 0.25) & (np.abs(u - 0.5) < 0.6) & (np.abs(v - 0.5) < 0.6))
    return mask
