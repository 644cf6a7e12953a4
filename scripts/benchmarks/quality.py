"""(d) How many findings are real: known mistakes planted into labelled photographs, ours and others.

Average precision over the common ranking and per type, precision in the first fifty (of those that can
be real where fewer than 50 are planted), mean ± standard deviation over seeds. The weights to start from
(``audit/trust/prior.py``) were fitted on some sets; --cross-fit fits them anew on every second frame of
the sets given and judges the other frames with them, so that no frame is judged by what it taught.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from audit.checks import Knowledge, calibration, find, study
from audit.checks.calibration import Weights
from audit.checks.evidence import Evidence, combine, gather
from audit.checks.habits import Habits
from audit.checks.tables import Look
from audit.checks.traits import Candidates
from audit.core.annotations import Annotations, Predictions, Snapshot
from audit.core.findings import Findings, FindingType
from audit.trust.agreement import trust_in
from audit.trust.fusion import fuse
from audit.trust.prevalence import shift
from audit.trust.prior import PRIOR
from scripts.benchmarks.fit import fit
from scripts.benchmarks.labelled import LabelledSet, detected, from_files, together
from scripts.benchmarks.mistakes import RATE, Spoilt, figures, spoil
from scripts.benchmarks.rivals import fiftyone, objectlab, simple_rule

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
CONFIDENT = 0.25
"""Where most tools cut predictions off."""
OBJECTLAB_SETTINGS = ((0.95, 0.5), (0.7, 0.5), (0.5, 0.5), (0.5, 0.1), (0.3, 0.1))
Auditor = Callable[[Snapshot, Predictions], Findings]
Spoiling = Callable[[Annotations, np.ndarray, int], Spoilt]

IDEAS = {
    "habits of this data": ("precision", "never used", "recall", "surpris", "alike"),
    "containment": ("inside", "covers", "covered", "part"),
    "other names": (
        *("another label", "clashing", "any support", "nothing seen"),
        *("rival", "other names", "any name", "something"),
    ),
    "size": ("size", "smaller"),
    "cut off by the frame": ("border",),
    "surroundings": ("companion", "company", "in the frame", "rarity", "others unexplained", "others of its name"),
    "each side": ("slip",),
    "names it confuses": ("kin",),
}
"""Traits by words in their names, to be switched off together."""


def ours(
    snapshot: Snapshot,
    predictions: Predictions,
    *,
    learn: bool = True,
    prior: Weights = PRIOR,
    rates: bool = True,
    look: Look | None = None,
) -> Findings:
    """The whole of it, as ``cvat-audit run`` does; predictions of several models are fused.

    rates: whether chances follow how many mistakes there seem to be, or all types are taken to be equally frequent.
    look: looks at the pictures.
    """
    knows = np.ones((int(predictions.model.max(initial=0)) + 1, len(snapshot.labels)), bool)
    predictions, _ = fuse(predictions, knows, trust_in(snapshot.annotations, predictions, knows))
    hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])
    judged = np.ones(len(snapshot.annotations), bool)
    evidence = combine([gather(snapshot.annotations, predictions, judged=judged, frame_hw=hw, look=look)])
    knowledge = study(evidence, len(snapshot.labels), learn=learn, prior=prior)
    return find(evidence, snapshot, knowledge=knowledge if rates else at_one_rate(knowledge))


def at_one_rate(known: Knowledge) -> Knowledge:
    """As if every type were as frequent as it was planted."""
    back = {kind: shift(calibration.RATE, rate) for kind, rate in known.rates.items()}
    weights = {kind: w + back.get(kind, 0.0) * (np.arange(len(w)) == 0) for kind, w in known.weights.items()}
    return replace(known, weights=weights, rates={})


def confident_only(snapshot: Snapshot, predictions: Predictions, prior: Weights) -> Findings:
    """Ours, without the faint predictions."""
    return ours(snapshot, predictions[predictions.score >= CONFIDENT], prior=prior)


def without(words: Collection[str], prior: Weights) -> Auditor:
    """Ours, with the traits whose names hold one of these words always 0."""

    def audit(snapshot: Snapshot, predictions: Predictions) -> Findings:
        with _switched_off(words):
            return ours(snapshot, predictions, prior=prior)

    return audit


@contextlib.contextmanager
def _switched_off(words: Collection[str]) -> Iterator[None]:
    before = dict(calibration.CANDIDATES)

    def blinded(kind: FindingType) -> Callable[[Evidence, Habits], Candidates]:
        kept = np.array([not any(w in name for w in words) for name in calibration.TRAITS[kind]], np.float64)

        def candidates(evidence: Evidence, habits: Habits) -> Candidates:
            found = before[kind](evidence, habits)
            return Candidates(found.rows, found.traits * kept)

        return candidates

    calibration.CANDIDATES.update({kind: blinded(kind) for kind in before})
    try:
        yield
    finally:
        calibration.CANDIDATES.update(before)


def auditors(prior: Weights, *, ablations: bool, with_fiftyone: bool) -> dict[str, Auditor]:
    """All to be compared, by the name in the table."""

    def lab(high: float, low: float) -> Auditor:
        return lambda s, p: objectlab(s, p, high, low)

    chosen: dict[str, Auditor] = {"cvat-audit": partial(ours, prior=prior), "simple rule": simple_rule}
    for high, low in OBJECTLAB_SETTINGS:
        chosen[f"ObjectLab {high}/{low}"] = lab(high, low)
    if with_fiftyone:
        chosen["FiftyOne"] = fiftyone
    if ablations:
        chosen["– learning on the data"] = partial(ours, prior=prior, learn=False)
        chosen["– rates of this data"] = partial(ours, prior=prior, rates=False)
        chosen[f"– predictions below {CONFIDENT}"] = partial(confident_only, prior=prior)
        chosen |= {f"– {idea}": without(words, prior) for idea, words in IDEAS.items()}
    return chosen


def measured(auditor: Auditor, data: LabelledSet, seeds: range, spoiling: Spoiling = spoil) -> dict[str, np.ndarray]:
    """Each figure of every seed, and the seconds an audit took."""
    rows = []
    for seed in seeds:
        spoilt = spoiling(data.snapshot.annotations, data.frame_hw, seed)
        snapshot = Snapshot(data.name, data.snapshot.labels, data.snapshot.frames, spoilt.annotations)
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cleanlab divides by zero where a class has no box
            findings = auditor(snapshot, data.predictions)
        rows.append({**figures(findings, spoilt), "seconds": time.perf_counter() - start})
    return {key: np.array([r[key] for r in rows]) for key in rows[0]}


def table(data: LabelledSet, chosen: dict[str, Auditor], seeds: range, spoiling: Spoiling = spoil) -> None:
    """Print one set's figures."""
    s = data.snapshot
    if data.look is not None:
        chosen = chosen | {"+ pictures": partial(chosen["cvat-audit"], look=data.look)}
    print(f"\n{data.name}: {len(s.frames)} photos, {len(s.annotations)} labels, {len(data.predictions)} predictions")
    head = None
    for name, auditor in chosen.items():
        found = measured(auditor, data, seeds, spoiling)
        if head is None:
            head = list(found)
            print(f"{'':26}" + "".join(f"{key:>12}" for key in head))
        cells = [f"{v.mean():.2f} ± {v.std():.2f}" if k != "seconds" else f"{v.mean():.3f}" for k, v in found.items()]
        print(f"{name:26}" + "".join(f"{c:>12}" for c in cells), flush=True)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", nargs=3, action="append", default=[], metavar=("NAME", "ANNOTATIONS", "RESULTS"),
                        help="a COCO file and a COCO results file")  # fmt: skip
    parser.add_argument("--images", nargs=2, action="append", default=[], metavar=("NAME", "FOLDER"),
                        help="where the pictures of a --set are: also with what they show")  # fmt: skip
    parser.add_argument("--detect", nargs=2, action="append", default=[], metavar=("NAME", "ANNOTATIONS"),
                        help="a COCO file beside its images, through both detectors")  # fmt: skip
    parser.add_argument("--learn-from", nargs=3, action="append", default=[],
                        metavar=("NAME", "ANNOTATIONS", "RESULTS"),
                        help="fit the starting weights to these instead; names given twice are two models")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=RATE, help="boxes spoilt of each type (default 0.05)")
    parser.add_argument("--plausible", action="store_true", help="mistakes more as people make them; harder")
    parser.add_argument("--cross-fit", action="store_true", help="ours only, each half by weights from the other")
    parser.add_argument("--ablations", action="store_true", help="also with each idea switched off (and fitted anew)")
    parser.add_argument("--fiftyone", action="store_true", help="also FiftyOne itself (slow)")
    return parser


def _sets(given: list[list[str]], pictured: list[list[str]], images: Mapping[str, Path]) -> list[LabelledSet]:
    """Those asked for; sets of one name and several results are also put together, as several models.

    images: where the pictures of a set given by name are.
    """
    sets = [from_files(name, Path(a), Path(r), images.get(name)) for name, a, r in given]
    groups = [(name, [d for d in sets if d.name == name]) for name in dict.fromkeys(d.name for d in sets)]
    if not sets and not pictured and (coco := SHARED / "coco128-permissive" / "annotations.json").exists():
        pictured = [["coco128-permissive", str(coco)]]
    for name, path in pictured:
        pair = [detected(name, Path(path), detector) for detector in ("yolo11n", "ssd")]
        sets += pair
        groups.append((name, pair))
    return sets + [together(f"{name} all models", group) for name, group in groups if len(group) > 1]


def cross_fit(sets: list[LabelledSet], seeds: range, spoiling: Spoiling, *, ablations: bool) -> None:
    """Print each half's figures by weights from the other halves; ablations: fitted without each idea too."""
    one_model = [data for data in sets if not data.predictions.model.any()]
    for half in (0, 1):
        rest = [data.part(1 - half) for data in one_model]
        chosen: dict[str, Auditor] = {"cvat-audit": partial(ours, prior=fit(rest))}
        for idea, words in IDEAS.items() if ablations else ():
            with _switched_off(words):
                chosen[f"– {idea}"] = without(words, fit(rest))
        for data in sets:
            table(data.part(half), chosen, seeds, spoiling)


def main() -> None:
    """Read the options, measure, print."""
    parser = _options()
    args = parser.parse_args()
    images = {name: Path(folder) for name, folder in args.images}
    sets, seeds = _sets(args.set, args.detect, images), range(args.seeds)
    if not sets:
        parser.error("no labelled photographs: name a COCO file with --detect NAME ANNOTATIONS, or give --set")
    spoiling = partial(spoil, rate=args.rate, plausible=args.plausible)
    if args.cross_fit:
        cross_fit(sets, seeds, spoiling, ablations=args.ablations)
        return
    prior = fit(from_files(name, Path(a), Path(r)) for name, a, r in args.learn_from) if args.learn_from else PRIOR
    with contextlib.ExitStack() as stack:
        if args.fiftyone:
            from audit.adapters.fiftyone.database import database
            from audit.cli.progress import TerminalProgress

            stack.enter_context(database(TerminalProgress()))
        for data in sets:
            several = bool(data.predictions.model.any())
            chosen = auditors(prior, ablations=args.ablations, with_fiftyone=args.fiftyone)
            table(data, {"cvat-audit": chosen["cvat-audit"]} if several else chosen, seeds, spoiling)


if __name__ == "__main__":
    main()
