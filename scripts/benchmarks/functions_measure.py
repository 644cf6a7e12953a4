"""Times of several things measured in turns, so that a busy machine is busy for all of them: wall and processor."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.serving.host.serve import Host


@dataclass
class Times:
    """Milliseconds of each round. cpu: of this process and of the workers together, their idle spinning included."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.wall)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu)


def in_turns(
    works: Mapping[str, Callable[[], Any]], rounds: int, workers: Callable[[], Sequence[int]] = list
) -> dict[str, Times]:
    """Each work once a round, after one round that does not count. workers: processes whose CPU time counts, too."""
    times = {name: Times() for name in works}
    for one in range(rounds + 1):
        for name, work in works.items():
            cpu, wall = _cpu_ms(workers()), time.perf_counter()
            work()
            if one:
                times[name].wall.append(1000 * (time.perf_counter() - wall))
                times[name].cpu.append(_cpu_ms(workers()) - cpu)
    return times


def ratio(above: Times, below: Times) -> float:
    """Median over the rounds of the one's time over the other's in the same round."""
    return statistics.median(a / b for a, b in zip(above.wall, below.wall, strict=True))


def excess(above: Times, below: Times) -> float:
    """Median over the rounds of how many milliseconds the one takes longer than the other."""
    return statistics.median(a - b for a, b in zip(above.wall, below.wall, strict=True))


def workers_of(host: Host) -> list[int]:
    """The processes of a host's workers."""
    return [worker.process.pid for pool in host.pools.values() for worker in list(pool._workers.values())]


def resident_mb(host: Host) -> float:
    """Memory of all workers together."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in workers_of(host))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_ms(processes: Sequence[int]) -> float:
    others = sum(_running_ns(task) for pid in processes for task in Path(f"/proc/{pid}/task").iterdir())
    return 1000 * time.process_time() + others / 1e6


def _running_ns(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except OSError:  # a thread that has just ended
        return 0
