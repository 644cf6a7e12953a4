"""Small charts as inline SVG: colours come from the page's style sheet, so they follow its theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, Table, column

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 20, 10, 22
SHARES = np.linspace(0, 1, 11)
LAST_COUNT = 10
"""Frames with this many findings or more share one bar."""


@dataclass(frozen=True)
class Bars:
    """Bar heights over a common axis. ticks: words under bar edges or bars. told: a sentence that says it all."""

    title: str
    counts: Sequence[int]
    ticks: Sequence[tuple[float, str]]
    told: str
    threshold: float | None = None
    kind: str = ""


@dataclass(frozen=True, eq=False)
class Marks(Table):
    """The columns of ``Findings`` that charts need; see there."""

    type: NDArray[np.int8] = column(np.int8, -1, required=True)
    frame: NDArray[np.int32] = column(np.int32, -1, required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)
    iou: FloatArray = column(np.float64, np.nan)


def score_plots(findings: Findings | Marks, threshold: float) -> list[Bars]:
    """How the scores of each type are spread; types without findings are left out."""
    plots = []
    for kind in FindingType:
        scores = findings.score[findings.type == kind]
        if len(scores):
            counts = np.histogram(scores[np.isfinite(scores)], SHARES)[0]
            told = f"{findings_told(len(scores))}, {int((scores >= threshold).sum()):,} at {percent(threshold)} or more"
            plots.append(Bars(f"{kind.title}: score", counts.tolist(), _share_ticks(), told, threshold, kind.code))
    return plots


def iou_plot(findings: Findings | Marks) -> Bars | None:
    """How far labelled and proposed shapes overlap in Low IoU findings; None without any."""
    iou = findings.iou[findings.type == FindingType.LOW_OVERLAP]
    iou = iou[np.isfinite(iou)]
    if not len(iou):
        return None
    counts = np.histogram(iou, np.linspace(0, 1, 21))[0]
    told = f"Labelled against proposed shape in {findings_told(len(iou))}, median {percent(float(np.median(iou)))}"
    return Bars("Low IoU: overlap", counts.tolist(), _share_ticks(20), told, kind="low_overlap")


def frame_plot(findings: Findings | Marks, n_frames: int, threshold: float) -> Bars | None:
    """On how many frames there are 0, 1, 2 ... findings at or above the threshold; None without frames."""
    if not n_frames:
        return None
    per_frame = np.bincount(findings.frame[findings.score >= threshold], minlength=n_frames)
    counts = np.bincount(np.minimum(per_frame, LAST_COUNT), minlength=LAST_COUNT + 1)
    ticks = [(i + 0.5, f"{i}+" if i == LAST_COUNT else str(i)) for i in range(LAST_COUNT + 1)]
    told = f"{int((per_frame == 0).sum()):,} of {n_frames:,} frames have none, the worst has {per_frame.max():,}"
    return Bars("Findings per frame", counts.tolist(), ticks, told)


def bars_svg(bars: Bars) -> Markup:
    """The chart. Every bar carries its number; the whole is described for those who cannot see it."""
    top = max(1, *bars.counts)
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    step = across / len(bars.counts)
    parts = [_grid(top, down)]
    for i, count in enumerate(bars.counts):
        tall = down * count / top
        # a single finding among thousands must still be seen
        tall = max(tall, 1.5) if count else 0
        x, y = LEFT + i * step + 1, TOP + down - tall
        shape = f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{step - 2:.1f}" height="{tall:.1f}" rx="1.5">'
        parts.append(f"{shape}<title>{count:,}</title></rect>")
    for position, word in bars.ticks:
        parts.append(f'<text class="tick" x="{LEFT + position * step:.1f}" y="{HEIGHT - 6}">{escape(word)}</text>')
    if bars.threshold is not None:
        x = LEFT + bars.threshold * across
        parts.append(f'<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{TOP + down}"/>')
    opening = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(bars.told)}">'
    return Markup(opening + "".join(parts) + "</svg>")  # noqa: S704 - numbers, and words escaped above


def interval_svg(share: float, low: float, high: float) -> Markup:
    """A share as a dot on its interval, over an axis from 0 to 1."""
    start, end = 4 + 112 * low, 4 + 112 * high
    dot = "" if np.isnan(share) else f'<circle class="dot" cx="{4 + 112 * share:.1f}" cy="8" r="3.5"/>'
    return Markup(  # noqa: S704 - numbers only
        '<svg class="interval" viewBox="0 0 120 16" aria-hidden="true">'
        '<line class="track" x1="4" x2="116" y1="8" y2="8"/>'
        f'<line class="range" x1="{start:.1f}" x2="{end:.1f}" y1="8" y2="8"/>{dot}</svg>'
    )


def percent(share: float) -> str:
    """A share in whole or tenths of a percent: 0.5 gives "50 %"."""
    return f"{round(100 * share, 1):g} %"


def findings_told(n: int) -> str:
    """Their number in words: "1 finding", "2 findings"."""
    return f"{n:,} finding{'' if n == 1 else 's'}"


def _grid(top: int, down: float) -> str:
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = TOP + down * (1 - part)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        if part != 0.5:
            lines.append(f'<text class="count" x="{LEFT - 5}" y="{y + 3.5:.1f}">{_short(top * part)}</text>')
    return "".join(lines)


def _short(number: float) -> str:
    return f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:.0f}"


def _share_ticks(bins: int = 10) -> list[tuple[float, str]]:
    return [(0, "0 %"), (bins / 2, "50 %"), (bins, "100 %")]
