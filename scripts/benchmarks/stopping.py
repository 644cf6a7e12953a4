"""(e) Calibration, what is left over and when to stop, over simulated audits.

A simulated reviewer who never errs answers the queue's questions, with blind ones mixed in, as 'cvat-audit review
--blind-sample' asks them. After 50, 100, 200 ... answers the intervals are held against the truth. The review stops
when the tool says so; then the share of mistakes found by then is counted, and the answers saved against answering
everything. "could be saved" is what stopping at just the right moment in the same queue would have saved.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from audit.core.table import BoolArray, IntArray
from audit.loop.queue import bands, ordered
from audit.trust.calibrated import calibration_error, reliability
from audit.trust.left_over import Sampled, by_type, drawn, rest_of_frames, rest_of_labels, together
from audit.trust.stopping import TARGET, Advice, advise
from audit.trust.verdicts import CAUTIOUS, OPEN, Doubt, Recalibration, learnt_from
from scripts.benchmarks.audits import CONDITIONS, Truth, made_up, photographed
from scripts.benchmarks.labelled import detected, from_files
from scripts.benchmarks.mistakes import RATE
from scripts.benchmarks.output import show

CHECKPOINTS = (0, 50, 100, 200, 400, 800)
COCO = Path(__file__).resolve().parents[2] / "../shared/data/coco128-permissive/annotations.json"
TOGETHER = 50
"""Answers between two looks at the scores."""
SECONDS = 4.0
BLIND_SHARES = (0.5, 0.25, 0.25)


class Reviewer:
    """One simulated review. ``step`` answers some questions."""

    def __init__(self, truth: Truth, blind: float, seed: int) -> None:
        self.truth, self.blind, self.seed = truth, blind, seed
        self.rng = np.random.default_rng([seed, 7])
        self.judged: BoolArray = np.zeros(len(truth.real), bool)
        self.drawn_blind = self.rng.permutation(len(truth.real)).tolist()
        self.labels = self.rng.permutation(len(truth.wrong))
        self.frames = self.rng.permutation(len(truth.overlooked))
        self.asked_labels = self.asked_frames = self.answers = 0
        self.taught = self._learn()

    def step(self) -> None:
        """Answer ``TOGETHER`` questions and learn from them."""
        order = ordered(self.taught.chance(self.truth.facts), self.seed)
        queue = iter(order[~self.judged[order]].tolist())
        for _ in range(TOGETHER):
            self.answers += 1
            if not (self.rng.random() < self.blind and self._blind()):
                row = next((r for r in queue if not self.judged[r]), None)
                if row is None:
                    break
                self.judged[row] = True
        self.taught = self._learn()

    def _blind(self) -> bool:
        kind = self.rng.choice(3, p=BLIND_SHARES)
        if kind == 1 and self.asked_labels < len(self.labels):
            self.asked_labels += 1
        elif kind == 2 and self.asked_frames < len(self.frames):
            self.asked_frames += 1
        else:
            row = next((r for r in self.drawn_blind if not self.judged[r]), None)
            if row is None:
                return False
            self.judged[row] = True
        return True

    def _learn(self, doubt: Doubt = CAUTIOUS) -> Recalibration:
        return learnt_from(self.truth.facts[self.judged], self.truth.real[self.judged].astype(float), doubt)

    def rows(self) -> IntArray:
        """Findings that wait."""
        return np.flatnonzero(~self.judged)

    def covered(self) -> Iterator[tuple[str, bool, float]]:
        """What was estimated, whether its interval holds the truth, and its width against all mistakes."""
        t, rows = self.truth, self.rows()
        chance = self.taught.chance(t.facts)
        waiting = drawn(self._learn(OPEN), t.facts[rows], bands(chance[rows]), chance[rows])
        everything = max(1, t.real.sum() + t.wrong.sum() + t.overlooked.sum())
        labels = Sampled(len(t.wrong), self.asked_labels, int(t.wrong[self.labels[: self.asked_labels]].sum()))
        asked = self.frames[: self.asked_frames]
        frames = Sampled(len(t.overlooked), self.asked_frames, int((t.overlooked[asked] > 0).sum()))
        left_wrong = t.wrong.sum() - labels.wrong
        left_lost = t.overlooked.sum() - t.overlooked[asked].sum()
        left = t.real[rows].sum()
        parts = [("findings", together(waiting), left)]
        if self.asked_labels and self.asked_frames:
            more = rest_of_labels(labels), rest_of_frames(frames)
            parts += [("labels", more[0].estimate(), left_wrong), ("frames", more[1].estimate(), left_lost)]
            parts += [("all", together(waiting, *more), left + left_wrong + left_lost)]
        for name, e, truth in parts:
            yield name, bool(e.low <= truth <= e.high), (e.high - e.low) / everything
        for kind, e in by_type(waiting).items():
            truth = t.real[rows][t.facts.type[rows] == kind].sum()
            yield "by type", bool(e.low <= truth <= e.high), (e.high - e.low) / everything

    def advice(self) -> Advice:
        """What the tool would say now."""
        rows = self.rows()
        chance = self.taught.chance(self.truth.facts[rows])
        waiting = drawn(self._learn(OPEN), self.truth.facts[rows], bands(chance), chance, number=400)
        return advise(waiting, int(self.truth.real[self.judged].sum()), SECONDS)

    def error(self, learnt: bool) -> float:
        """Calibration error of what waits, with or without what the verdicts taught."""
        waiting = self.truth.facts[self.rows()]
        chance = self.taught.chance(waiting) if learnt else waiting.score
        return calibration_error(reliability(chance, self.truth.real[self.rows()].astype(float)))


def simulated(truth: Truth, blind: float, seed: int) -> dict[str, list[float]]:
    """One audit from end to end: each figure at each checkpoint, and at the stop."""
    reviewer, figures = Reviewer(truth, blind, seed), defaultdict(list)
    stopped = enough = False
    while True:
        if reviewer.answers in CHECKPOINTS:
            for name, covered, width in reviewer.covered():
                figures[f"covered {name}"].append(float(covered))
                if name in ("findings", "all"):
                    figures[f"covered {name} after {reviewer.answers}"].append(float(covered))
                if reviewer.answers == CHECKPOINTS[3]:
                    figures[f"width {name}"].append(width)
        if reviewer.answers == CHECKPOINTS[3] and len(reviewer.rows()):
            figures["ece scores"].append(reviewer.error(learnt=False))
            figures["ece learnt"].append(reviewer.error(learnt=True))
        if not enough and reviewer.truth.real[reviewer.judged].sum() >= TARGET * reviewer.truth.real.sum():
            enough = True
            figures["could be saved"].append(1 - reviewer.judged.mean())
        if not stopped and reviewer.advice().stop:
            stopped = True
            _note_stop(figures, reviewer)
        if reviewer.judged.all() or (stopped and enough and reviewer.answers >= CHECKPOINTS[-1]):
            return figures
        reviewer.step()


def _note_stop(figures: dict[str, list[float]], reviewer: Reviewer) -> None:
    real = reviewer.truth.real
    found = real[reviewer.judged].sum() / max(real.sum(), 1)
    figures["found at stop"].append(found)
    figures["enough at stop"].append(float(found >= TARGET))
    figures["saved"].append(1 - reviewer.judged.mean())


def main() -> None:
    """Read the options, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", nargs=3, action="append", default=[], metavar=("NAME", "ANNOTATIONS", "RESULTS"))
    parser.add_argument("--seeds", type=int, default=10, help="audits of each condition")
    parser.add_argument("--blind", type=float, default=0.1, help="share of blind questions")
    parser.add_argument("--rate", type=float, action="append", help="boxes spoilt of each type (0.05); may be repeated")
    parser.add_argument("--only", default="", help="conditions whose name holds this")
    args = parser.parse_args()
    sources = [(name, partial(made_up, name)) for name in CONDITIONS]
    sets = [from_files(name, Path(labelled), Path(results)) for name, labelled, results in args.set]
    if not args.set and COCO.exists():
        sets.append(detected("coco128-permissive", COCO, "yolo11n"))
    for data, rate in product(sets, args.rate or [RATE]):
        sources.append((f"{data.name} {100 * rate:g} %", partial(photographed, data, rate=rate)))
    overall: dict[str, list[float]] = defaultdict(list)
    audits, start = 0, time.perf_counter()
    for name, source in sources:
        if args.only in name:
            figures: dict[str, list[float]] = defaultdict(list)
            for seed in range(args.seeds):
                for key, values in simulated(source(seed), args.blind, seed).items():
                    figures[key] += values
                    overall[key] += values
                audits += 1
            show(name, audits=args.seeds, **{k: float(np.mean(v)) for k, v in figures.items()})
    seconds = time.perf_counter() - start
    show("all", audits=audits, seconds=seconds, **{k: float(np.mean(v)) for k, v in overall.items()})


if __name__ == "__main__":
    main()
