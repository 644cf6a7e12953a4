"""Questions that a made-up video raises before and after findings are gathered by cause; each cause told once?

2,000 frames, about six tracks each with a key frame on every 20th, a detector with habits, gaps and ghosts, and ten
planted mistakes: two wrong labels, two copies, two invented tracks, two key frames that slipped, two missed objects.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from audit.checks import ALL_TYPES
from audit.checks.evidence import FLOOR
from audit.comparing import Comparison, compare
from audit.core.annotations import Annotations
from audit.core.findings import Findings, FindingType
from audit.gathering import Gathering
from audit.runs import from_arrow, pq, write_table
from scripts.benchmarks.output import show
from tests.test_comparing import Silent
from tests.videos import Cause, Video, video

LIKELY = 0.5


def findings_of(made: Video, folder: Path) -> tuple[Findings, float]:
    """Of an audit with this video's predictions, and the seconds it took from files to file."""
    s = made.snapshot
    write_table(folder / "p.parquet", made.predictions, s.labels)
    write_table(folder / "a.parquet", s.annotations, s.labels)
    knows, audited = np.ones((1, len(s.labels)), bool), np.ones(len(s.frames), bool)
    bare = replace(s, annotations=Annotations())
    comparison = Comparison(bare, knows, audited, folder / "a.parquet", folder / "p.parquet")
    start = time.perf_counter()
    compare(comparison, folder / "f.parquet", types=ALL_TYPES, floor=FLOOR, progress=Silent())
    taken = time.perf_counter() - start
    found: Findings = from_arrow(pq.read_table(folder / "f.parquet"), Findings, s.labels)
    return found, taken


def about(cause: Cause, made: Video, f: Findings) -> np.ndarray:
    """(n,) which findings tell of a planted mistake, under whatever name."""
    first, last = f.span()
    if cause.track < 0:
        inside = (first >= cause.first - 5) & (last <= cause.last + 5)
        return np.asarray(inside & (f.type == cause.kind) & (f.suggested_label == cause.label) & (f.frames > 1))
    other = made.snapshot.annotations.annotation_id[f.related]
    copied = (f.type == FindingType.DUPLICATE_ANNOTATION) & (f.related >= 0) & (other == cause.track)
    return np.asarray((f.annotation_id == cause.track) | (copied & (cause.kind == FindingType.DUPLICATE_ANNOTATION)))


def measured(seed: int, frames: int) -> dict[str, float]:
    """One video, with and without gathering."""
    made = video(seed, frames=frames)
    with tempfile.TemporaryDirectory() as folder:
        with patch.object(Gathering, "needed", False):
            before, slow = findings_of(made, Path(folder))
        after, gathered = findings_of(made, Path(folder))
    likely = after[after.score >= LIKELY]
    weaker = after[after.score < LIKELY]
    told = [about(cause, made, likely) for cause in made.causes]
    unlikely = [cause for cause, rows in zip(made.causes, told, strict=True) if not rows.any()]
    return {
        "seed": seed,
        "frames": frames,
        "questions_before": int((before.score >= LIKELY).sum()),
        "questions": len(likely),
        "weaker_before": int((before.score < LIKELY).sum()),
        "weaker": len(weaker),
        "planted": len(told),
        "told_once": sum(int(rows.sum() == 1) for rows in told),
        "told_as_unlikely": sum(int(about(cause, made, weaker).any()) for cause in unlikely),
        "not_told": sum(int(not about(cause, made, after).any()) for cause in unlikely),
        "of_no_cause": int((~np.any(told, axis=0)).sum()) if told else len(likely),
        "seconds_before": round(slow, 2),
        "seconds": round(gathered, 2),
    }


def main() -> None:
    """Print one line for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="videos (default: 5)")
    parser.add_argument("--frames", type=int, default=2000, help="of each (default: 2000)")
    options = parser.parse_args()
    for seed in range(1, options.seeds + 1):
        show("causes of a video", **measured(seed, options.frames))


if __name__ == "__main__":
    main()
