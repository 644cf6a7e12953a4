"""The blind share: frames deliberately left without pre-labels, so that the pre-labels' bias can be measured.

On a blind frame people label by themselves. How their labels there differ from those on pre-labelled frames
is what the pre-labels did to them. Kept in the run's ``blind.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audit.errors import UsageError
from audit.runs import atomic

FILE = "blind.json"
LISTS = (("blind", True), ("seen", False))
FrameKey = tuple[int, int]
"""Task, and the frame's number in it (in an export: -1 and its position)."""


@dataclass(frozen=True)
class Blind:
    """share: of the frames, in [0, 1). frames: each that was drawn from, and whether it is blind."""

    share: float = 0.0
    seed: int = 0
    frames: Mapping[FrameKey, bool] = field(default_factory=dict)


def extended(blind: Blind, candidates: Sequence[FrameKey]) -> Blind:
    """With the share drawn from those of the candidates that were not drawn from before.

    The same frames and seed always give the same draw. A share above 0 leaves at least one of several frames blind.
    """
    fresh = sorted(set(candidates) - blind.frames.keys())
    count = math.floor(blind.share * len(fresh) + 0.5)
    if blind.share > 0 and len(fresh) > 1:
        count = max(count, 1)
    order = np.random.default_rng([blind.seed, len(blind.frames)]).permutation(len(fresh))
    chosen = set(order[:count].tolist())
    drawn = {key: i in chosen for i, key in enumerate(fresh)}
    return Blind(blind.share, blind.seed, {**blind.frames, **drawn})


def settled(run: Path, share: float | None, seed: int | None, *, binding: bool) -> Blind:
    """What is to be drawn with: the choice in the folder if it is binding, else what is asked for now.

    share, seed: None where the user said nothing. binding: pre-labels were sent already. Raises UsageError
    if something else is asked for than was sent.
    """
    if not binding:
        return Blind(share or 0.0, seed or 0)
    known = read(run)
    for name, asked, was in (("--blind", share, known.share), ("--seed", seed, known.seed)):
        if asked is not None and not math.isclose(asked, was):
            raise UsageError(
                f"{name} {asked:g} differs from the {was:g} with which pre-labels of {run} were sent; "
                "frames that have them cannot become blind. Leave it out, or take another --out."
            )
    return known


def read(run: Path) -> Blind:
    """The choice kept in a folder; none if there is no file. Raises UsageError for a damaged one."""
    path = run / FILE
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        keys = [(key, was) for name, was in LISTS for key in body[name]]
        frames = {(int(task), int(number)): was for (task, number), was in keys}
        return Blind(float(body["share"]), int(body["seed"]), frames)
    except FileNotFoundError:
        return Blind()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); without it blind frames are not known") from None


def write(run: Path, blind: Blind) -> None:
    """Keep the choice: ``share``, ``seed``, and as [task, number] the ``blind`` frames and the other ``seen`` ones."""
    lists = {name: sorted(k for k, b in blind.frames.items() if b is was) for name, was in LISTS}
    with atomic(run / FILE, "w") as stream:
        json.dump({"share": blind.share, "seed": blind.seed, **lists}, stream)
        stream.write("\n")
