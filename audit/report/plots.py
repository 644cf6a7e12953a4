"""Small charts as inline SVG: colours come from the page's style sheet, so they follow its theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from audit.core.findings import FindingType
from audit.core.table import FloatArray, Table, column

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 20, 10, 22
SHARES, IOUS = np.linspace(0, 1, 11), np.linspace(0, 1, 21)
FINE = 10_001
"""Steps in which overlaps are counted for their median."""
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


class Charts:
    """What all findings come to in charts, counted piece by piece. threshold: in [0, 1], findings from it on count."""

    def __init__(self, n_frames: int, threshold: float) -> None:
        self._threshold = threshold
        self.findings = 0
        self._per_frame = np.zeros(n_frames, np.int32)
        self._scores = np.zeros((len(FindingType), len(SHARES) - 1), np.int64)
        self._of_type, self._likely = np.zeros((2, len(FindingType)), np.int64)
        self._iou = np.zeros(len(IOUS) - 1, np.int64)
        self._fine_iou = np.zeros(FINE, np.int64)

    def add(self, marks: Marks) -> None:
        """Some more findings."""
        self.findings += len(marks)
        likely = marks.score >= self._threshold
        self._per_frame += np.bincount(marks.frame[likely], minlength=len(self._per_frame)).astype(np.int32)
        for kind in FindingType:
            of_kind = marks.type == kind
            scores = marks.score[of_kind]
            self._scores[kind] += np.histogram(scores[np.isfinite(scores)], SHARES)[0]
            self._of_type[kind] += len(scores)
            self._likely[kind] += int(np.count_nonzero(likely & of_kind))
        iou = marks.iou[(marks.type == FindingType.LOW_OVERLAP) & np.isfinite(marks.iou)]
        self._iou += np.histogram(iou, IOUS)[0]
        self._fine_iou += np.bincount(np.rint(iou * (FINE - 1)).astype(np.int64), minlength=FINE)

    def plots(self) -> list[Bars]:
        """Findings per frame, overlaps, and scores of every type; none without findings."""
        if not self.findings:
            return []
        plots = [self._frames(), self._overlaps(), *(self._scores_of(kind) for kind in FindingType)]
        return [plot for plot in plots if plot is not None]

    def _scores_of(self, kind: FindingType) -> Bars | None:
        """How the scores of a type are spread."""
        n, likely = int(self._of_type[kind]), int(self._likely[kind])
        if not n:
            return None
        told = f"{findings_told(n)}, {likely:,} at {percent(self._threshold)} or more"
        counts = self._scores[kind].tolist()
        return Bars(f"{kind.title}: score", counts, _share_ticks(), told, self._threshold, kind.code)

    def _overlaps(self) -> Bars | None:
        """How far labelled and proposed shapes overlap in Low IoU findings."""
        n = int(self._iou.sum())
        if not n:
            return None
        middle = np.searchsorted(np.cumsum(self._fine_iou), [(n + 1) // 2, n // 2 + 1]).mean() / (FINE - 1)
        told = f"Labelled against proposed shape in {findings_told(n)}, median {percent(float(middle))}"
        return Bars("Low IoU: overlap", self._iou.tolist(), _share_ticks(20), told, kind="low_overlap")

    def _frames(self) -> Bars | None:
        """On how many frames there are 0, 1, 2 ... findings at or above the threshold."""
        per_frame = self._per_frame
        if not len(per_frame):
            return None
        counts = np.bincount(np.minimum(per_frame, LAST_COUNT), minlength=LAST_COUNT + 1)
        ticks = [(i + 0.5, f"{i}+" if i == LAST_COUNT else str(i)) for i in range(LAST_COUNT + 1)]
        none, worst = int((per_frame == 0).sum()), int(per_frame.max())
        told = f"{none:,} of {len(per_frame):,} frames have none, the worst has {worst:,}"
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
