"""(e) How many Low IoU findings are real where shapes are masks: known mistakes planted into labelled masks.

Masks are eroded, dilated, shifted, cut, merged with a neighbour of their name, and split; each ranking of
Low IoU findings is judged by average precision, of all kinds and of each, mean ± standard deviation over seeds.
No weights of a segmentation network can be had offline. The predictions are a real detector's boxes and scores
with (1) masks simulated from the true ones and (2) masks drawn by LiteMedSAM, real but weak on photographs.
The weights to start from are fitted anew on every second photograph, and on all of ``--also``; the other photographs
are judged with them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from audit.checks import Knowledge, find
from audit.checks.calibration import learnt
from audit.checks.evidence import Sample, combine, gather
from audit.checks.habits import habits_of
from audit.checks.outline_learning import COUNTED, PRIOR, examples, study_outlines, weights_of_kinds
from audit.checks.outline_traits import TRAITS
from audit.core.annotations import Predictions, Snapshot
from audit.core.boxes import overlapping_pairs
from audit.core.findings import FindingType
from audit.core.masks import pair_iou
from audit.core.matching import greedy_matching
from audit.core.outlines import boundary_iou
from audit.core.table import FloatArray
from audit.trust.planting_masks import SOUND, MaskMistake
from audit.trust.prior import PRIOR as BOX_PRIOR
from scripts.benchmarks.labelled import LabelledSet
from scripts.benchmarks.mask_mistakes import figures, spoil_masks
from scripts.benchmarks.mask_sets import boxes_of_detector, lite_medsam, simulated

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
SIMULATIONS = 2
"""Sets of simulated masks that the weights are fitted to, none of them the one that is judged."""
COPIES = 4
"""Copies of each set, each with other mistakes."""
STRENGTH = 0.1
"""As in ``fit``: one over the variance of a weight about 0."""
LEAST_SCORE = 0.5
"""Predictions that the plain rules look at."""
Ranking = list[int]
Auditor = Callable[[Snapshot, Predictions], Ranking]
"""Annotation ids, likeliest wrong first."""

IDEAS = {
    "boundary": ("boundary",),
    "missing and extra parts": ("missing part", "extra part"),
    "boxes beside masks": ("box surpris",),
    "growth and drift": ("grown", "one-sided", "drifted"),
    "distances along the outline": ("all round", "gains by", "fits once", "slip"),
    "merged and split": ("merged", "split"),
}


def ours(prior: FloatArray, *, learn: bool = True, blind: Sequence[str] = ()) -> Auditor:
    """The whole of it, as ``cvat-audit run`` does. blind: words in the names of traits to do without."""

    def audit(snapshot: Snapshot, predictions: Predictions) -> Ranking:
        hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])
        judged = np.ones(len(snapshot.annotations), bool)
        evidence = combine([gather(snapshot.annotations, predictions, judged=judged, frame_hw=hw)])
        n_labels = len(snapshot.labels)
        habits = habits_of(evidence, n_labels)
        weights = learnt(evidence, n_labels, habits, BOX_PRIOR).weights if learn else BOX_PRIOR
        outlines = study_outlines(evidence, n_labels, habits, prior=prior, learn=learn)
        kept = np.array([not any(word in name for word in blind) for name in TRAITS])
        known = Knowledge(habits, weights, replace(outlines, weights=outlines.weights * kept))
        found = find(evidence, snapshot, knowledge=known, floor=0.0)
        ids: Ranking = found.annotation_id[found.type == FindingType.LOW_OVERLAP].tolist()
        return ids

    return audit


def boxes_only(snapshot: Snapshot, predictions: Predictions) -> Ranking:
    """Ours, as if there were boxes only."""
    plain = replace(snapshot, annotations=snapshot.annotations.replace(mask=None, points=None))
    return ours(PRIOR)(plain, predictions.replace(mask=None))


def by_overlap(kind: str) -> Auditor:
    """The plain rule: 1 - the best overlap with a prediction of its name of at least 0.5. kind: box, mask, boundary."""

    def audit(snapshot: Snapshot, predictions: Predictions) -> Ranking:
        a, p = snapshot.annotations, predictions[np.flatnonzero(predictions.score >= LEAST_SCORE)]
        pairs = overlapping_pairs(a.xyxy, a.frame, p.xyxy, p.frame)
        pairs = pairs[(a.label[pairs.left] == p.label[pairs.right]) & (pairs.iou >= 0.1)]
        hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])[a.frame[pairs.left]]
        left, right = a.mask[pairs.left], p.mask[pairs.right]
        overlap = pairs.iou.copy()
        drawn = np.flatnonzero(np.array([m is not None for m in right], bool))
        if kind != "box":
            overlap[drawn] = pair_iou(left[drawn], right[drawn], hw[drawn])
        if kind == "boundary":
            for i in drawn.tolist():
                overlap[i] = min(overlap[i], boundary_iou(left[i], right[i], tuple(hw[i].tolist())))
        best = np.zeros(len(a))
        np.maximum.at(best, pairs.left, overlap)
        seen = np.unique(pairs.left)
        ids: Ranking = a.annotation_id[seen[np.argsort(best[seen], kind="stable")]].tolist()
        return ids

    return audit


def fiftyone_rule(snapshot: Snapshot, predictions: Predictions) -> Ranking:
    """FiftyOne's ``mistakenness_loc`` by confidence: boxes of one name matched from IoU 0.5 on, surest first."""
    a, p = snapshot.annotations, predictions
    pairs = overlapping_pairs(a.xyxy, a.frame, p.xyxy, p.frame)
    pairs = pairs[(a.label[pairs.left] == p.label[pairs.right]) & (pairs.iou >= 0.5)]
    order = np.lexsort([-pairs.iou, pairs.right, -p.score[pairs.right]])
    own = pairs[greedy_matching(pairs.left, pairs.right, order, n_left=len(a), n_right=len(p))]
    mistakenness = (p.score[own.right] * (2 * 2 * (1 - own.iou) - 1) + 1) / 2
    ids: Ranking = a.annotation_id[own.left[np.argsort(-mistakenness, kind="stable")]].tolist()
    return ids


def auditors(prior: FloatArray, ablations: bool) -> dict[str, Auditor]:
    """All to be compared, by the name in the table."""
    chosen: dict[str, Auditor] = {
        "cvat-audit": ours(prior),
        "cvat-audit, boxes only": boxes_only,
        "box IoU": by_overlap("box"),
        "mask IoU": by_overlap("mask"),
        "min(mask, boundary IoU)": by_overlap("boundary"),
        "FiftyOne mistakenness_loc": fiftyone_rule,
    }
    if ablations:
        chosen["– learning on the data"] = ours(prior, learn=False)
        chosen |= {f"– {idea}": ours(prior, blind=words) for idea, words in IDEAS.items()}
    return chosen


def fit(sets: Sequence[LabelledSet]) -> FloatArray:
    """(kinds, traits) the weights of the traits of masks, from these sets together, all counting the same."""
    rows = []
    for data in sets:
        a = data.snapshot.annotations
        sample = Sample(a, np.ones(len(a), bool), data.predictions, 1)
        for traits, mistake, _, _ in examples(sample, data.frame_hw, len(data.snapshot.labels), None, COPIES):
            counted = np.where(mistake == SOUND, 1.0, COUNTED)
            rows.append((traits, mistake, counted * 400 / len(a) / COPIES))
    traits, mistake, importance = (np.concatenate(column) for column in zip(*rows, strict=True))
    strength = np.full(traits.shape[1], STRENGTH)
    strength[0] /= 30
    return weights_of_kinds(traits, mistake, importance, np.zeros((len(MaskMistake), traits.shape[1])), strength)


def print_weights(weights: FloatArray) -> None:
    """As ``audit.trust.prior_masks`` has them."""
    for name, row in zip(TRAITS, weights.T.tolist(), strict=True):
        print(f'    "{name}": ({", ".join(f"{weight:.2f}" for weight in row)}),')


def measured(auditor: Auditor, halves: Sequence[LabelledSet], seeds: range) -> dict[str, np.ndarray]:
    """Each figure of every seed, over the halves given, and the seconds an audit took."""
    rows = []
    for data in halves:
        for seed in seeds:
            spoilt = spoil_masks(data.snapshot.annotations, data.frame_hw, seed)
            snapshot = replace(data.snapshot, annotations=spoilt.annotations)
            start = time.perf_counter()
            ids = auditor(snapshot, data.predictions)
            rows.append({**figures(ids, spoilt), "seconds": time.perf_counter() - start})
    return {key: np.array([r[key] for r in rows]) for key in rows[0]}


def table(name: str, judged: Sequence[tuple[LabelledSet, FloatArray]], seeds: range, ablations: bool) -> None:
    """Print one set's figures. judged: each half with the weights to judge it by."""
    labels = sum(len(data.snapshot.annotations) for data, _ in judged)
    print(f"\n{name}: {labels} masks, {len(seeds)} seeds in each half; mask IoU where found {_fit_told(judged)}")
    head = None
    for auditor in auditors(PRIOR, ablations):
        parts = [measured(auditors(prior, ablations)[auditor], [data], seeds) for data, prior in judged]
        found = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
        if head is None:
            head = list(found)
            print(f"{'':28}" + "".join(f"{key:>12}" for key in head))
        cells = [
            f"{v.mean():.2f}" if k == "seconds" else f"{np.nanmean(v):.2f} ± {np.nanstd(v):.2f}"
            for k, v in found.items()
        ]
        print(f"{auditor:28}" + "".join(f"{c:>12}" for c in cells), flush=True)


def _fit_told(judged: Sequence[tuple[LabelledSet, FloatArray]]) -> str:
    """Quartiles of the IoU of matched masks, before anything is spoilt."""
    parts = []
    for data, _ in judged:
        a = data.snapshot.annotations
        e = gather(a, data.predictions, judged=np.ones(len(a), bool), frame_hw=data.frame_hw, outlines=False).labels
        parts.append(e.own_iou[e.masked])
    low, middle, high = np.percentile(np.concatenate(parts), [25, 50, 75])
    return f"{low:.2f} | {middle:.2f} | {high:.2f}"


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path, default=SHARED / "coco128-permissive" / "annotations.json",
                        help="a COCO file with polygons beside its images")  # fmt: skip
    parser.add_argument("--also", type=Path, nargs="*", default=(),
                        help="more such files, with simulated masks, to learn the weights from")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ablations", action="store_true", help="also with each idea switched off")
    parser.add_argument("--no-sam", action="store_true", help="simulated masks only")
    parser.add_argument("--fit", action="store_true", help="print weights fitted to all of it, and stop")
    args = parser.parse_args()
    for path in (args.annotations, *args.also):
        if not path.exists():
            parser.error(f"{path} is not there: name a COCO file beside its images")
    boxes = boxes_of_detector(args.annotations.parent.name, args.annotations)
    real = [] if args.no_sam else [lite_medsam(boxes)]
    taught = [*(simulated(boxes, seed) for seed in range(1, 1 + SIMULATIONS)), *real]
    also = [simulated(boxes_of_detector(path.parent.name, path), 0) for path in args.also]
    if args.fit:
        print_weights(fit([*taught, *also]))
        return
    priors = [fit([*(data.part(1 - half) for data in taught), *also]) for half in (0, 1)]
    for data in (simulated(boxes, 0), *real):
        table(data.name, [(data.part(half), priors[half]) for half in (0, 1)], range(args.seeds), args.ablations)


if __name__ == "__main__":
    main()
