"""What reviewers' decisions tell, as plain text for people and JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import numpy as np

from audit.core.words import amount
from audit.loop.agreement import Agreement, Checked, Tally
from audit.report.remaining_text import (
    BLIND_HINT,
    advice_line,
    mistake_lines,
    remaining_json,
    remaining_rows,
    trusted_line,
)
from audit.report.review_summary import Pace, ReviewSummary
from audit.report.statistics import Rates, wilson
from audit.report.text import printable

NAME_WIDTH = 40
"""Longest name shown in a table of the text form, in characters."""

ERRORS_SHOWN = 20
FEW = "  too few to judge"


def write_review_json(told: ReviewSummary, stream: IO[str]) -> None:
    """One JSON object; numbers that cannot be said are null."""
    errors = {"labels": told.errors_by_label, "annotators": told.errors_by_annotator}
    document = {
        "findings": told.findings,
        "decided": told.decided,
        "decided_elsewhere": told.elsewhere,
        "types": {t.code: _tally_json(tally) for t, tally in told.by_type.items()},
        "agreement": {
            "alpha": _number(told.agreement.alpha),
            "interval": [_number(told.agreement.low), _number(told.agreement.high)],
            "findings": told.agreement.findings,
            "same": _number(told.agreement.same),
        },
        "reviewers": {name: _reviewer_json(pace, told.checks.get(name)) for name, pace in _everybody(told).items()},
        "errors": {
            "at_least": told.decided < told.findings,
            **{name: [_rate_json(row) for row in _rows(rates)] for name, rates in errors.items()},
        },
        **remaining_json(told.remaining, told.frames),
    }
    json.dump(document, stream, indent=2, allow_nan=False)
    stream.write("\n")


def write_review_text(told: ReviewSummary, stream: IO[str]) -> None:
    """Sections with a table each; what is not known is left out or said to be so."""
    lines = [f"{told.decided:,} of {amount(told.findings, 'finding')} decided."]
    if told.elsewhere:
        lines.append(f"Findings decided earlier that this audit no longer has: {told.elsewhere:,}.")
    if told.decided:
        lines += ["", "How often each type was right (precision, 95 % interval)", *_types(told)]
        lines += ["", *_agreement(told.agreement)]
        lines += ["", "Reviewers", *_reviewers(told.pace)]
    if told.findings:
        lines += ["", *_remaining(told)]
    if told.checks:
        lines += ["", "Planted questions (wrong suggestions accepted, true ones rejected)", *_checks(told.checks)]
    for title, rates in (("label", told.errors_by_label), ("annotator", told.errors_by_annotator)):
        found = rates[rates.in_doubt > 0]
        if len(found):
            open_ = told.findings - told.decided
            rest = f"; at least so many: {amount(open_, 'finding')} undecided" if open_ else ""
            lines += [
                "",
                f"Errors per {title} (accepted findings among the objects, 95 % interval{rest})",
                *_errors(found),
            ]
    stream.write("\n".join(lines) + "\n")


def _remaining(told: ReviewSummary) -> list[str]:
    """What is left and when to stop."""
    left = told.remaining
    lines = ["Mistakes still left (95 % interval)", *_table(remaining_rows(left))]
    lines += [] if left.total else [f"  {BLIND_HINT}"]
    lines += ["", advice_line(left.advice, left.judged)]
    if left.trusted:
        lines.append(trusted_line(left.trusted))
    if left.mistakes:
        lines += [
            "",
            "Wrong labels found by chance, which no push will mend",
            *_table(mistake_lines(left, told.frames)),
        ]
    return lines


def _types(told: ReviewSummary) -> list[str]:
    rows = []
    for kind, t in told.by_type.items():
        aside = [f"{n} {word}" for n, word in ((t.unsure, "unsure"), (t.disputed, "disputed")) if n]
        rows.append((kind.title, _share(t.accepted, t.judged), ", ".join(aside)))
    return _table(rows)


def _agreement(a: Agreement) -> list[str]:
    if not a.findings:
        return ["Agreement: no finding was judged by two reviewers (see --overlap)."]
    said = f"all said the same on {_percent(a.same)} of {amount(a.findings, 'finding')} judged by several"
    if math.isnan(a.alpha):
        return [f"Agreement: {said}; too few or too uniform for Krippendorff's alpha."]
    return [f"Agreement: Krippendorff's alpha {a.alpha:.2f} ({a.low:.2f} to {a.high:.2f}); {said}."]


def _reviewers(pace: Mapping[str, Pace]) -> list[str]:
    rows = []
    for name, p in pace.items():
        times = f"median {p.median:.1f} s, nine in ten below {p.slow:.1f} s" if p.timed else "no times noted"
        rows.append((name, amount(p.verdicts, "verdict"), times))
    return _table(rows)


def _checks(checks: Mapping[str, Checked]) -> list[str]:
    rows = []
    for name, c in checks.items():
        bias = "" if math.isnan(c.bias) else f"leaning to the suggestion: {c.bias:+.2f}"
        wrong, true = _share(c.wrong_accepted, c.wrong), _share(c.true_rejected, c.true)
        rows.append((name, f"{wrong} accepted", f"{true} rejected", bias))
    return _table(rows)


def _errors(rates: Rates) -> list[str]:
    rows = []
    for r in list(_rows(rates))[:ERRORS_SHOWN]:
        shown = f"{r['in_doubt']:,} of {r['objects']:,}"
        interval = f"{_percent(r['share'])} ({_percent(r['low'])} to {_percent(r['high'])})"
        rows.append((r["name"], shown, interval + (FEW if r["few"] else "")))
    more = len(rates) - ERRORS_SHOWN
    return [*_table(rows), *([f"  … and {more:,} more"] if more > 0 else [])]


def _share(part: int, whole: int) -> str:
    if not whole:
        return "none of 0"
    low, high = _interval(part, whole)
    return f"{part:,} of {whole:,}, {_percent(part / whole)} ({_percent(low)} to {_percent(high)})"


def _interval(part: int, whole: int) -> tuple[float, float]:
    low, high = wilson(np.array([part]), np.array([whole]))
    return float(low[0]), float(high[0])


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Left-aligned columns; names from elsewhere come out as one printable line."""
    shown = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in shown]


def _cell(text: str) -> str:
    plain = printable(text)
    return plain if len(plain) <= NAME_WIDTH * 2 else plain[: NAME_WIDTH - 1] + "…"


def _rows(rates: Rates) -> Iterable[dict[str, Any]]:
    columns = {name: values.tolist() for name, values in rates.columns().items()}
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _everybody(told: ReviewSummary) -> dict[str, Pace | None]:
    return {name: told.pace.get(name) for name in sorted({*told.pace, *told.checks})}


def _tally_json(t: Tally) -> dict[str, Any]:
    low, high = _interval(t.accepted, t.judged)
    counts = {"accepted": t.accepted, "rejected": t.rejected, "unsure": t.unsure, "disputed": t.disputed}
    return {**counts, "precision": t.accepted / t.judged if t.judged else None, "interval": [low, high]}


def _reviewer_json(pace: Pace | None, c: Checked | None) -> dict[str, Any]:
    pace = pace or Pace(0, 0, math.nan, math.nan)
    told: dict[str, Any] = {"verdicts": pace.verdicts, "seconds_median": _number(pace.median)}
    told |= {"seconds_90_percent": _number(pace.slow), "checks": None}
    if c is not None:
        wrong = {"asked": c.wrong, "accepted": c.wrong_accepted, "interval": list(_interval(c.wrong_accepted, c.wrong))}
        true = {"asked": c.true, "rejected": c.true_rejected, "interval": list(_interval(c.true_rejected, c.true))}
        told["checks"] = {"wrong": wrong, "true": true, "bias": _number(c.bias)}
    return told


def _rate_json(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {"name": row["name"], "errors": row["in_doubt"], "objects": row["objects"], "share": _number(row["share"])}
    return {**kept, "interval": [row["low"], row["high"]], "too_few_to_judge": row["few"]}


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
