"""The report: one HTML file that opens offline, fetches nothing and escapes every text it shows."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from audit.core.findings import FindingType
from audit.memory import give_back
from audit.ports import Progress
from audit.report.gallery import Card, cards, safe_link, shorten
from audit.report.plots import (
    Charts,
    bars_svg,
    findings_told,
    interval_svg,
    percent,
)
from audit.report.statistics import Rates, Statistics
from audit.report.tables import run_charts, run_statistics, worst_rows
from audit.report.trust import diagram_svg, trust_of
from audit.runs import RunFolder, atomic

FIRST_ROWS = 12
"""Rows of a table of rates that are open at once."""

MAX_ROWS = 100
"""Rows of a list that are shown; the rest is counted. The run's tables hold them all."""

EXPLAINED = {
    FindingType.MISSING_ANNOTATION: "the model sees an object that nobody labelled",
    FindingType.LOW_OVERLAP: "labelled, but the shape lies beside the object",
    FindingType.MISMATCHING_LABEL: "labelled as something else than the model sees",
    FindingType.EXTRA_ANNOTATION: "labelled where the model sees nothing",
    FindingType.DUPLICATE_ANNOTATION: "one object labelled twice",
    FindingType.INVALID_SHAPE: "a shape that cannot be right, whatever the photo shows",
    FindingType.UNUSUAL_SHAPE: "far from the size, form or place that its label has elsewhere",
    FindingType.BROKEN_TRACK: "a track that jumps, vanishes for a moment or changes places with another",
    FindingType.EMPTY_FRAME: "a frame without a label among frames that are full of them",
    FindingType.INCONSISTENT_FRAMES: "two frames that look the same, labelled differently",
}


def write_report(run: RunFolder, path: Path, *, gallery: int = 200, threshold: float = 0.5, progress: Progress) -> None:
    """Write ``report.html``; it appears whole or not at all.

    gallery: so many findings get a card with a crop, worst first. threshold: in [0, 1], findings
    from this score on are counted in the headline, tables and rates. Frames whose image is missing
    or broken get a sketch of their shapes. Raises ServiceError if the file cannot be written.
    """
    charts = run_charts(run, threshold=threshold)
    worst = run.findings(rows=worst_rows(run, gallery))
    shown = cards(run, worst, progress)
    give_back()  # of some hundred pictures
    context = _context(run, charts, shown, threshold)
    template = _environment().get_template("report.html.j2")
    with atomic(path, "w") as stream:
        for part in template.generate(**context):
            # a lone surrogate in some name must not cost the report
            stream.write(part.encode("utf-8", "replace").decode("utf-8"))


def headline(frames: int, labels: int, places: int) -> str:
    """What was found, in one sentence."""
    if not frames:
        return "There were no frames to audit."
    found = f"{places:,} {_plural(places, 'place')} to look at" if places else "no place to look at"
    return f"In {frames:,} {_plural(frames, 'frame')} with {labels:,} {_plural(labels, 'label')} we found {found}."


def _context(run: RunFolder, charts: Charts, shown: list[Card], threshold: float) -> dict[str, Any]:
    manifest = run.manifest
    statistics = run_statistics(run, threshold=threshold)
    n_frames = run.n_frames
    n_audited = int(_counts(manifest).get("frames_audited", n_frames))
    places = int(statistics.total.findings[0])
    style, script = _asset("report.css"), _asset("report.js")
    return {
        "style": Markup(style),  # noqa: S704 - a file of ours
        "script": Markup(script),  # noqa: S704 - a file of ours
        "policy": _policy(style, script),
        "source": shorten(manifest["source"]),
        "read_at": _moment(manifest.get("read_at") or ""),
        "source_link": safe_link(manifest["source"]),
        "headline": headline(n_audited, int(statistics.total.annotations[0]), places),
        "places": places,
        "weaker": charts.findings - places,
        "threshold": threshold,
        "n_frames": n_frames,
        "n_audited": n_audited,
        "statistics": statistics,
        "types": _type_rows(statistics, manifest),
        "groups": _groups(statistics),
        "plots": charts.plots(),
        "trust": trust_of(run),
        "cards": shown,
        "differences": any(path.role in ("missing", "extra") for card in shown for path in card.paths),
        "n_findings": charts.findings,
        "filters": _filters(run, shown),
        "manifest": manifest,
        "not_compared": _counts(manifest).get("not_compared") or {},
        "facts": _facts(manifest),
        "max_rows": MAX_ROWS,
        "first_rows": FIRST_ROWS,
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("audit.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    filters: dict[str, Callable[[Any], str]] = {
        "percent": _percent,
        "count": lambda n: f"{n:,}",
        "findings": findings_told,
        "share": percent,
        "short": lambda text: shorten(str(text)),
        "interval": lambda r: interval_svg(r["share"], r["low"], r["high"]),
        "bars": bars_svg,
        "reliability": diagram_svg,
    }
    environment.filters.update(filters)
    return environment


def _policy(style: str, script: str) -> str:
    """Nothing is loaded, sent or framed; only our own style and script run, known by their hashes."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _type_rows(statistics: Statistics, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The types that were looked for: "0 %" of what nobody looked for would be a claim."""
    sought = (manifest.get("settings") or {}).get("types")
    rows = zip(_rows(statistics.by_type), FindingType, strict=True)
    return [
        {**row, "code": kind.code, "told": EXPLAINED[kind]}
        for row, kind in rows
        if sought is None or kind.code in sought
    ]


def _groups(statistics: Statistics) -> list[dict[str, Any]]:
    groups = [("Label", statistics.by_label), ("Job", statistics.by_job), ("Annotator", statistics.by_annotator)]
    return [
        {"title": title, "rows": _rows(rates[:MAX_ROWS]), "more": max(0, len(rates) - MAX_ROWS)}
        for title, rates in groups
        if len(rates)
    ]


def _rows(rates: Rates) -> list[dict[str, Any]]:
    columns = {name: values.tolist() for name, values in rates.columns().items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _filters(run: RunFolder, shown: list[Card]) -> dict[str, list[tuple[Any, str]]]:
    kinds = {card.kind: card.title for card in shown}
    labels = {card.label: shorten(run.labels[card.label]) for card in shown if card.label >= 0}
    return {
        "kinds": [(kind.code, kind.title) for kind in FindingType if kind.code in kinds],
        "labels": sorted(labels.items(), key=lambda item: item[1].casefold()),
    }


def _counts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    counts: dict[str, Any] = manifest.get("counts") or {}
    return counts


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What the audit was made with, by heading; empty parts are left out."""
    timings = manifest.get("timings") or {}
    counts = {k: v for k, v in _counts(manifest).items() if isinstance(v, int)}
    parts = [
        ("Settings", [(k, _plain(v)) for k, v in (manifest.get("settings") or {}).items()]),
        ("Counts", [(k, f"{v:,}") for k, v in counts.items()]),
        ("Time taken", [(stage, f"{seconds:,.1f} s") for stage, seconds in timings.items()]),
        ("Versions", [(k, _plain(v)) for k, v in (manifest.get("versions") or {}).items()]),
    ]
    return [(title, [(shorten(k), shorten(v)) for k, v in pairs]) for title, pairs in parts if pairs]


def _plain(value: Any) -> str:
    """A value of the manifest in words: lists and tables in a row, an empty one as "none"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_plain(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(text: str) -> str:
    """An ISO time to the minute, for people; anything else as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return shorten(text)


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"


def _plural(n: int, word: str) -> str:
    return word if n == 1 else word + "s"
