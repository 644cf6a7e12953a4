"""(c) Peak memory of a whole audit at 1,000 and at 20,000 frames.

Every frame has 7 labels and a small JPEG. Two runs each on a COCO export: with a results file (72 predictions a frame
down to 0.01, a picture of its own for every frame), and with yolo11n (the same few photos again and again, so the
model runs seldom and what grows is what the audit itself keeps; that these look alike and are labelled at random would
be reported 20,000 times, so only what a model tells is asked for). With --sources also every other source, with a
results file of 10 predictions a frame; "cvat" is a task on a server (the double), its frames downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from audit.core.findings import MODEL_FREE, FindingType
from scripts.benchmarks.memory_sets import (
    EXPORTS,
    SERVER,
    SOURCES,
    make_scene,
    served,
    write_photos,
    write_pictures,
    write_results,
)
from scripts.benchmarks.output import show

MODELS_TYPES = [word for kind in FindingType if kind not in MODEL_FREE for word in ("--type", kind.code)]
PREDICTED, FEWER = 72.0, 10.0
"""Predictions a frame in the results file: of the two usual runs, and of those by source."""
MEASURED = """
import re, sys
from pathlib import Path
from audit.cli import main
try:
    main()
finally:
    # not getrusage: its peak includes what the parent had when it started this process
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)
    print(peak, file=sys.stderr)
"""


def peak(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Peak resident memory in MB and wall time in seconds of one command. environment: beside the usual one."""
    start = time.perf_counter()
    command = [sys.executable, "-c", MEASURED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return int(done.stderr.strip().splitlines()[-1]) / 1024, time.perf_counter() - start


Arguments = tuple[list[str], dict[str, str]]
"""Of ``cvat-audit run`` but for --out; and what to add to the environment."""
Maker = Callable[[Path, int, str], AbstractContextManager[Arguments]]


@contextmanager
def usual(folder: Path, frames: int, model: str) -> Iterator[Arguments]:
    """A COCO export, with a results file or with a model's name."""
    snapshot, predictions = make_scene(frames, PREDICTED)
    (folder / "set").mkdir()
    EXPORTS["coco"](folder / "set", snapshot)
    if model:
        write_photos(folder, frames)
        yield [f"{folder}/set", "--images", f"{folder}/photos", "--model", model, *MODELS_TYPES], {}
    else:
        write_pictures(folder, frames)
        write_results(folder / "results.json", predictions)
        yield [f"{folder}/set", "--images", f"{folder}/pictures", "--predictions", f"{folder}/results.json"], {}


@contextmanager
def of_source(folder: Path, frames: int, source: str) -> Iterator[Arguments]:
    """One of ``SOURCES``, with a results file."""
    snapshot, predictions = make_scene(frames, FEWER)
    write_results(folder / "results.json", predictions)
    write_photos(folder, frames)
    found = ["--predictions", f"{folder}/results.json", *MODELS_TYPES]
    if source == SERVER:
        with served(folder, snapshot) as (address, environment):
            yield [address, *found], {**environment, "XDG_CACHE_HOME": f"{folder}/cache"}
        return
    (folder / "set").mkdir()
    EXPORTS[source](folder / "set", snapshot)
    yield [f"{folder}/set", "--images", f"{folder}/photos", *found], {}


def measured(what: str, frames: int, arguments: Arguments, out: Path) -> float:
    """Runs, prints, and gives the peak in MB."""
    options, environment = arguments
    megabytes, seconds = peak(["run", *options, "--out", str(out), "--no-fiftyone"], environment)
    stages = json.loads((out / "manifest.json").read_text())["timings"]
    show(f"cvat-audit run, {what}", frames=frames, peak_mb=megabytes, seconds=seconds, **stages)
    return megabytes


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 20000])
    parser.add_argument("--sources", nargs="+", choices=["all", *SOURCES], default=[], help="only these, by source")
    args = parser.parse_args()
    sources = SOURCES if "all" in args.sources else args.sources
    runs: list[tuple[str, Maker, str]] = [(f"{source}, results file", of_source, source) for source in sources]
    for what, make, choice in runs or [("results file", usual, ""), ("yolo11n", usual, "yolo11n")]:
        peaks = []
        for frames in args.frames:
            with tempfile.TemporaryDirectory() as name, make(Path(name), frames, choice) as arguments:
                peaks.append((frames, measured(what, frames, arguments, Path(name) / "run")))
        if len(peaks) > 1:
            (few, low), *_, (many, high) = peaks
            slope = 1024 * (high - low) / (many - few)
            show(f"growth, {what}", frames=many - few, mb=high - low, share=high / low - 1, kb_per_frame=slope)


if __name__ == "__main__":
    main()
