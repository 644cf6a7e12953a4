"""Everything that ``cvat-audit review-report`` says, gathered from a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit import decisions
from audit.core.decisions import Decision, Verdict, agreed, standing
from audit.core.findings import FindingType
from audit.loop.agreement import Agreement, Checked, Tally, agreement, checked, seconds, tallies
from audit.remaining import Remaining, remaining
from audit.report.statistics import Rates
from audit.report.tables import run_statistics
from audit.review import CHECKS, SOLUTION
from audit.runs import RunFolder


@dataclass(frozen=True)
class Pace:
    """verdicts: all standing ones; timed: those with a time. median, slow: seconds, the 50 % and 90 % quantiles."""

    verdicts: int
    timed: int
    median: float
    slow: float


@dataclass(frozen=True)
class ReviewSummary:
    """findings: all of the run; decided: those with a standing decision. elsewhere: other ids that decisions name.

    by_type: in the order of types. errors_by_label, errors_by_annotator: accepted findings among the objects;
    a lower bound while findings are undecided. remaining: what is left, and when to stop.
    frames: file names, by row.
    """

    findings: int
    decided: int
    elsewhere: int
    by_type: dict[FindingType, Tally]
    agreement: Agreement
    pace: dict[str, Pace]
    checks: dict[str, Checked]
    errors_by_label: Rates
    errors_by_annotator: Rates
    remaining: Remaining
    frames: Sequence[str]


def summary(run: RunFolder) -> ReviewSummary:
    """Sum up a run's decisions. Raises UsageError if a file of them is damaged."""
    findings = run.findings()
    said = decisions.read(run.path)
    kinds = {str(i): FindingType(int(t)).code for i, t in zip(findings.id, findings.type, strict=True)}
    ours = [d for d in said if d.finding in kinds]
    by_type = tallies(ours, kinds)
    accepted = {i for i, d in agreed(ours).items() if d.verdict is Verdict.ACCEPT}
    errors = findings[np.array([i in accepted for i in findings.id], bool)]
    counted = run_statistics(run, threshold=0.0, findings=errors)
    answers, expected = _checks(run)
    return ReviewSummary(
        findings=len(findings),
        decided=len({d.finding for d in standing(ours).values()}),
        elsewhere=len({d.finding for d in standing(said).values()} - kinds.keys()),
        by_type={t: by_type[t.code] for t in FindingType if t.code in by_type},
        agreement=agreement(ours),
        pace=_pace(ours),
        checks=checked(answers, expected),
        errors_by_label=counted.by_label,
        errors_by_annotator=counted.by_annotator,
        remaining=remaining(run, findings, ours),
        frames=run.frames(files=False).name.tolist(),
    )


def _checks(run: RunFolder) -> tuple[list[Decision], dict[str, Verdict]]:
    lines = decisions.read(run.path / CHECKS)
    expected = {d.finding: d.verdict for d in lines if d.reviewer == SOLUTION}
    return [d for d in lines if d.reviewer != SOLUTION], expected


def _pace(said: Sequence[Decision]) -> dict[str, Pace]:
    timed = seconds(said)
    total: dict[str, int] = {}
    for d in standing(said).values():
        total[d.reviewer] = total.get(d.reviewer, 0) + 1
    return {name: _pace_of(number, timed.get(name, np.zeros(0))) for name, number in sorted(total.items())}


def _pace_of(number: int, taken: np.ndarray) -> Pace:
    if not len(taken):
        return Pace(number, 0, float("nan"), float("nan"))
    median, slow = np.quantile(taken, [0.5, 0.9])
    return Pace(number, len(taken), float(median), float(slow))
