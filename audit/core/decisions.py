"""A decision: what a person said about a finding. Later ones of the same person replace earlier ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """accept: the finding is right, do what it proposes. reject: the label is fine. undone: no decision after all."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNSURE = "unsure"
    UNDONE = "undone"


@dataclass(frozen=True)
class Decision:
    """finding: its id. reviewer: a name. time: UTC, ISO 8601. seconds: how long it took (0: unknown).

    label: the label the person chose instead of the suggested one, "" for none. origin: where it was
    said: "review", "sample" (there too, of a finding drawn by chance), "command" or "issue".
    """

    finding: str
    verdict: Verdict
    reviewer: str
    time: str
    seconds: float = 0.0
    label: str = ""
    origin: str = "review"


def standing(decisions: Iterable[Decision]) -> dict[tuple[str, str], Decision]:
    """The last word of each person on each finding, by (finding, reviewer); retracted ones are left out."""
    last = {(d.finding, d.reviewer): d for d in decisions}
    return {key: d for key, d in last.items() if d.verdict is not Verdict.UNDONE}


def agreed(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """By finding id, the decision to act on: the latest standing one; none where reviewers contradict each other.

    "unsure" contradicts nobody: it yields to a plain answer.
    """
    by_finding: dict[str, list[Decision]] = {}
    for d in standing(decisions).values():
        by_finding.setdefault(d.finding, []).append(d)
    chosen = {finding: _one_voice(said) for finding, said in by_finding.items()}
    return {finding: d for finding, d in chosen.items() if d is not None}


def _one_voice(said: list[Decision]) -> Decision | None:
    plain = [d for d in said if d.verdict is not Verdict.UNSURE] or said
    if len({(d.verdict, d.label) for d in plain}) > 1:
        return None
    return max(plain, key=lambda d: d.time)
