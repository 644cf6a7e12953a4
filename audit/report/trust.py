"""The report's section on its own scores: how far they held, what verdicts say is left, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from audit import decisions
from audit.calibration import Calibration, read_calibration
from audit.core.words import amount
from audit.report.plots import BOTTOM, LEFT, RIGHT, TOP, WIDTH, percent
from audit.runs import RunFolder
from audit.trust.calibrated import Reliability

if TYPE_CHECKING:
    from audit.remaining import Remaining

HEIGHT = 250


@dataclass(frozen=True)
class Diagram:
    """A reliability diagram. told: what it shows, in words."""

    title: str
    bins: Reliability
    told: str


@dataclass(frozen=True)
class Trust:
    """diagrams: of planted mistakes, of verdicts. rows: what is left (name, estimate, basis). advice: "" without."""

    diagrams: tuple[Diagram, ...] = ()
    rows: tuple[tuple[str, str, str], ...] = ()
    advice: str = ""
    hint: str = ""

    def __bool__(self) -> bool:
        return bool(self.diagrams or self.rows)


def trust_of(run: RunFolder) -> Trust:
    """What can be told of this run; nothing without planted mistakes and verdicts."""
    planted, said = read_calibration(run.path), decisions.read(run.path, strict=False)
    diagrams = [_planted(planted)] if planted else []
    if not said:
        return Trust(tuple(diagrams))
    # most reports are written before anybody has judged anything, and need not wait for these
    from audit.remaining import remaining
    from audit.report.remaining_text import BLIND_HINT, advice_line, remaining_rows

    told = remaining(run, run.findings(), said)
    if not told.judged:
        return Trust(tuple(diagrams))
    diagrams += _judged(told)
    hint = "" if told.total else BLIND_HINT
    return Trust(tuple(diagrams), tuple(remaining_rows(told)), advice_line(told.advice, told.judged), hint)


def _planted(c: Calibration) -> Diagram:
    types = ", ".join(f"{kind.title} {100 * error:.1f}" for kind, (error, _) in c.by_type.items())
    told = (
        f"Mistakes planted into half of the frames, judged by what the other half taught: calibration error "
        f"{100 * c.error:.1f} points over {int(c.bins.count.sum()):,} findings ({types}). {_highest(c.bins)} "
        f"{_besides(c)}{_rates(c)}"
    )
    return Diagram("Scores against planted mistakes", c.bins, told)


def _besides(c: Calibration) -> str:
    """How far the figures rest on an estimate of what is wrong in the labels themselves."""
    if math.isnan(c.planted_error):
        return "Real mistakes in the labels count as false alarms here, so the true shares are rather higher."
    return (
        "Planted mistakes stand for those that the labels hold besides, as many as are expected; "
        f"if these held none, the error would be {100 * c.planted_error:.1f} points."
    )


def _rates(c: Calibration) -> str:
    """How many labels seem wrong, for every hundred; a rate below a tenth says no more than that."""
    if not c.rates:
        return ""
    shares = ", ".join(f"{kind.title} {max(100 * rate, 0.1):.1f}" for kind, rate in c.rates.items())
    return f" Mistakes expected for every 100 labels, which the scores rest on: {shares}."


def _judged(told: Remaining) -> list[Diagram]:
    t = told.trusted
    if t is None:
        return []
    words = (
        f"{amount(told.judged, 'verdict')} so far: calibration error {100 * t.error:.1f} points, "
        f"{100 * t.learnt_error:.1f} for chances corrected by the other verdicts. {_highest(t.bins)}"
    )
    return [Diagram("Scores against verdicts", t.bins, words)]


def _highest(bins: Reliability) -> str:
    expected, share, low, high = (float(bins.columns()[c][-1]) for c in ("expected", "share", "low", "high"))
    return (
        f"Of the highest, around {percent(expected)}, {percent(share)} were real ({percent(low)} to {percent(high)})."
    )


def diagram_svg(diagram: Diagram) -> Markup:
    """Share that was real against the score, a point with its 95 % interval for each bin; the diagonal is right."""
    left = LEFT + 6  # room for "100 %"
    across, down = WIDTH - left - RIGHT, HEIGHT - TOP - BOTTOM

    def x(share: float) -> str:
        return f"{left + across * share:.1f}"

    def y(share: float) -> str:
        return f"{TOP + down * (1 - share):.1f}"

    parts = []
    for tenths in (0, 5, 10):
        at, words = tenths / 10, f"{10 * tenths} %"
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y(at)}" y2="{y(at)}"/>')
        parts.append(f'<text class="tick" x="{x(at)}" y="{HEIGHT - 6}">{words}</text>')
        parts.append(f'<text class="count" x="{left - 5}" y="{float(y(at)) + 3.5:.1f}">{words}</text>')
    parts.append(f'<line class="threshold" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    for expected, share, low, high, count in zip(*(v.tolist() for v in diagram.bins.columns().values()), strict=True):
        told = f"{amount(count, 'finding')} around {percent(expected)}: {percent(share)} real"
        parts.append(f'<line class="range" x1="{x(expected)}" x2="{x(expected)}" y1="{y(low)}" y2="{y(high)}"/>')
        parts.append(f'<circle class="dot" cx="{x(expected)}" cy="{y(share)}" r="4"><title>{told}</title></circle>')
    opening = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{diagram.title}">'
    return Markup(opening + "".join(parts) + "</svg>")  # noqa: S704 - numbers and words of ours
