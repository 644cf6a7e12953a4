"""What is left and when to stop, as plain text for people and JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from audit.core.findings import FindingType
from audit.core.words import amount
from audit.remaining import Part, Remaining, Trusted
from audit.trust.left_over import Estimate
from audit.trust.stopping import Advice

BLIND_HINT = "What no finding shows is not in these numbers: review with --blind-sample 5% to have it estimated."
MISTAKES_SHOWN = 20


def remaining_rows(told: Remaining) -> list[tuple[str, str, str]]:
    """A table of what is left: name, estimate with interval, and where it comes from."""
    rows = [("Findings without a verdict", _range(told.findings), f"of {told.waiting:,}")]
    rows += [(f"  {kind.title}", _range(e), "") for kind, e in told.by_type.items()]
    if told.labels:
        rows.append(("Labels no finding is about", _range(told.labels.left), _asked(told.labels, "wrong")))
    if told.frames:
        rows.append(
            ("Overlooked, and no finding says so", _range(told.frames.left), _asked(told.frames, "lacked a label"))
        )
    if told.total:
        rows.append(("In all", _range(told.total), ""))
    return rows


def advice_line(advice: Advice, judged: int) -> str:
    """What to do next, in a sentence or two. judged: findings with a verdict."""
    target = _percent(advice.target)
    if not advice.waiting:
        return "Every finding has a verdict."
    share = advice.share
    if not judged:
        sure = f" ({advice.surely:,} to be 95 % sure)" if advice.surely > advice.more else ""
        first = amount(advice.more, "finding")
        return f"Going by the scores alone, review {first} to have found {target} of the mistakes{sure}."
    told = f"Found so far: {_mistakes(advice.found)}, {_percent(share.expected)} of what findings show"
    told += f" ({_percent(share.low)} to {_percent(share.high)})."
    if advice.stop:
        return f"{told} It is safe to stop: with 95 % certainty {target} of them are found."
    if not advice.more:
        more = f"review {advice.surely:,} more to be sure{_time(advice.surely, advice)}"
        return f"{told} Probably {target} are found; {more}."
    sure = f"; to be 95 % sure, {advice.surely:,}" if advice.surely > advice.more else ""
    return f"{told} Review {advice.more:,} more to have found {target}{_time(advice.more, advice)}{sure}."


def trusted_line(trusted: Trusted) -> str:
    """How right the scores were."""
    told = f"Scores against verdicts: calibration error {100 * trusted.error:.1f} points"
    return f"{told}; corrected by verdicts (each by the others) {100 * trusted.learnt_error:.1f}."


def mistake_lines(told: Remaining, frames: Sequence[str]) -> list[tuple[str, str, str]]:
    """The wrong labels that blind questions brought to light. frames: names by row."""
    shown = [
        (frames[m.frame], f"annotation {m.annotation_id}", f"rather {m.label}" if m.label else "")
        for m in told.mistakes[:MISTAKES_SHOWN]
    ]
    more = len(told.mistakes) - MISTAKES_SHOWN
    return [*shown, *([(f"… and {more:,} more", "", "")] if more > 0 else [])]


def remaining_json(told: Remaining, frames: Sequence[str]) -> dict[str, Any]:
    """Keys ``left_over``, ``stop``, ``calibration`` and ``blind_mistakes``; what cannot be said is null."""
    a, t = told.advice, told.trusted
    share = {"expected": a.share.expected, "interval": [a.share.low, a.share.high]}
    bins = zip(*(v.tolist() for v in t.bins.columns().values()), strict=True) if t else ()
    return {
        "left_over": {
            "findings": {**_estimate_json(told.findings), "of": told.waiting},
            "types": {FindingType(k).code: _estimate_json(e) for k, e in told.by_type.items()},
            "labels_without_finding": told.labels and _part_json(told.labels),
            "overlooked_without_finding": told.frames
            and {**_part_json(told.frames), "frames_per_object": told.frames.span},
            "all": _estimate_json(told.total) if told.total else None,
        },
        "stop": {
            "target": a.target,
            "found": a.found,
            "share_found": share,
            "review_more": a.more,
            "review_more_to_be_sure": a.surely,
            "seconds_each": None if math.isnan(a.seconds) else round(a.seconds, 3),
            "safe_to_stop": a.stop,
        },
        "calibration": t
        and {
            "error": t.error,
            "error_learnt": t.learnt_error,
            "bins": [dict(zip(t.bins.columns(), values, strict=True)) for values in bins],
        },
        "blind_mistakes": [
            {"image": frames[m.frame], "annotation_id": m.annotation_id, "label": m.label or None}
            for m in told.mistakes
        ],
    }


def _asked(part: Part, words: str) -> str:
    s = part.sample
    told = f"{s.wrong:,} of {s.asked:,} asked blind {words}, {s.units:,} in all"
    return told if part.span <= 1 else f"{told}; each object counted once, as on about {part.span:,.0f} frames"


def _range(e: Estimate) -> str:
    return f"about {e.expected:,.0f} ({e.low:,.0f} to {e.high:,.0f})"


def _time(answers: int, advice: Advice) -> str:
    if math.isnan(advice.seconds):
        return ""
    minutes = math.ceil(answers * advice.seconds / 60)
    return f", about {minutes:,} minute{'' if minutes == 1 else 's'}"


def _mistakes(n: int) -> str:
    return f"{n:,} mistake{'' if n == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _estimate_json(e: Estimate) -> dict[str, Any]:
    return {"expected": e.expected, "interval": [e.low, e.high]}


def _part_json(part: Part) -> dict[str, Any]:
    s = part.sample
    return {**_estimate_json(part.left), "of": s.units, "asked": s.asked, "wrong": s.wrong}
