"""The cards of the report: a finding's crop, what is drawn on it, and its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.adapters.pictures import PictureError, decode_rgb
from audit.core.annotations import Annotations, Frames, Predictions
from audit.core.findings import Findings, FindingType, caption, span_of
from audit.ports import Progress
from audit.report.crops import BUDGET_BYTES, View, data_uri, jpeg, view_of
from audit.report.outlines import Path, annotation_path, box_path, difference_paths, prediction_path
from audit.report.rows import rows_of
from audit.report.tables import annotations_at, frames_at
from audit.runs import RunFolder

MAX_CROP_BYTES = 70_000
MAX_TEXT = 300
"""Characters of a text from a server that are shown; more would hide everything else."""


@dataclass(frozen=True)
class Card:
    """One finding, ready to be shown. label: code by which the page filters. photo: data URI, "" for none.

    span: on which frames of a video it shows, in words; "" for a single one. noun: what the annotation is.
    """

    rank: int
    id: str
    kind: str
    title: str
    label: int
    caption: str
    reason: str
    image: str
    frame: int
    span: str
    annotation_id: int | None
    noun: str
    assignee: str
    link: str
    score: float
    view: View
    photo: str
    no_photo: str
    paths: tuple[Path, ...]

    @property
    def alt(self) -> str:
        """What the picture shows, for those who cannot see it."""
        words = {
            "existing": "the existing shape",
            "proposed": "the proposed shape",
            "other": "the other shape",
            "missing": "what it lacks",
            "extra": "what it has too much",
        }
        drawn = " and ".join(words[path.role] for path in self.paths) or "no shape"
        ground = "Part of the photo" if self.photo else "Sketch without photo"
        return f"{ground} {self.image}, frame {self.frame}, with {drawn}: {self.caption}"


WORKERS = 2
"""Pictures decoded at once: Pillow lets threads run side by side, and each may hold 600 MB."""


def cards(run: RunFolder, chosen: Findings, progress: Progress) -> list[Card]:
    """A card for each finding, in their order. Every image is read once, ``WORKERS`` at a time."""
    everywhere = frames_at(run, np.concatenate([chosen.frame, *chosen.span()]))
    rows = list(rows_of(run, chosen, everywhere))
    maker = CardMaker(run, chosen, everywhere)
    made: dict[int, Card] = {}
    frames = np.unique(chosen.frame)

    def of_frame(frame: int) -> dict[int, Card]:
        pixels, problem = read_pixels(maker.frames, frame)
        positions = np.flatnonzero(chosen.frame == frame).tolist()
        return {i: maker.card(i, rows[i], pixels, problem) for i in positions}

    with progress.task("Crops", total=len(frames)) as advance, ThreadPoolExecutor(WORKERS) as pool:
        for part in pool.map(of_frame, frames.tolist()):
            made |= part
            advance()
    return [made[position] for position in range(len(chosen))]


def read_pixels(frames: Frames, frame: int) -> tuple[NDArray[np.uint8] | None, str]:
    """A frame's picture (h, w, 3), or None and why there is none."""
    path = frames.path[frame]
    if not path:
        return None, "no image at hand"
    try:
        return decode_rgb(File(path).read_bytes(), (int(frames.height[frame]), int(frames.width[frame]))), ""
    except PictureError as error:
        return None, f"the file {error}"
    except OSError as error:
        return None, f"the image file cannot be read ({error.strerror})"


def shorten(text: str) -> str:
    """At most ``MAX_TEXT`` characters; what was cut is said."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text):,} characters)"


def safe_link(link: str | None) -> str:
    """The address if a browser may open it: http or https, nothing else."""
    return link if link and link.lower().startswith(("https://", "http://")) else ""


class CardMaker:
    """Holds what the cards of one report have in common: shapes of the chosen findings only."""

    def __init__(self, run: RunFolder, chosen: Findings, frames: Frames) -> None:
        self.frames = frames
        self.labels = [shorten(name) for name in run.labels]
        self.chosen = chosen
        self.max_bytes = min(MAX_CROP_BYTES, BUDGET_BYTES // max(1, len(chosen)))
        self.existing, self.existing_row = _fetch(run, annotations_at, chosen.annotation, Annotations())
        self.related, self.related_row = _fetch(run, annotations_at, chosen.related, Annotations())
        self.predicted, self.predicted_row = _fetch(run, RunFolder.predictions_at, chosen.prediction, Predictions())

    def card(self, i: int, row: Mapping[str, Any], pixels: NDArray[np.uint8] | None, problem: str) -> Card:
        f = self.chosen
        kind = FindingType(int(f.type[i]))
        frame_wh = self.frame_wh(i, pixels)
        view = view_of(np.vstack(list(self.boxes(i))), frame_wh)
        label, suggested = (self.labels[c] if c >= 0 else "" for c in (int(f.label[i]), int(f.suggested_label[i])))
        return Card(
            rank=i + 1,
            id=row["id"],
            kind=kind.code,
            title=kind.title,
            label=int(f.label[i] if f.label[i] >= 0 else f.suggested_label[i]),
            caption=caption(kind, label, suggested, row["score"] or 0.0),
            reason=shorten(row["reason"] or ""),
            image=shorten(row["image"]),
            frame=row["frame"],
            span=span_of(row["frames"], row["first_frame"], row["last_frame"]),
            annotation_id=row["annotation_id"],
            noun="track" if self.existing_row[i] >= 0 and self.existing.track[self.existing_row[i]] else "shape",
            assignee=shorten(row["assignee"] or ""),
            link=safe_link(row["link"]),
            score=row["score"] or 0.0,
            view=view,
            photo="" if pixels is None else data_uri(jpeg(pixels, view, self.max_bytes)),
            no_photo=problem,
            paths=tuple(p for p in self.outlines(i, view, frame_wh) if p is not None),
        )

    def frame_wh(self, i: int, pixels: NDArray[np.uint8] | None) -> tuple[int, int]:
        """Width and height of a finding's frame: the picture's, else as the source states it."""
        if pixels is not None:
            return pixels.shape[1], pixels.shape[0]
        frame = int(self.chosen.frame[i])
        return int(self.frames.width[frame]), int(self.frames.height[frame])

    def boxes(self, i: int) -> Iterator[np.ndarray]:
        """What must be seen of a finding: its boxes, (4,) xyxy pixels, NaN for none."""
        yield self.chosen.xyxy[i]
        yield self.chosen.suggested_xyxy[i]
        if self.related_row[i] >= 0:
            yield self.related.xyxy[self.related_row[i]]

    def outlines(self, i: int, view: View, frame_wh: tuple[int, int]) -> Iterator[Path | None]:
        """A finding's shapes over this view, in the view's pixels; None for one without a place."""
        existing, related, predicted = self.existing_row[i], self.related_row[i], self.predicted_row[i]
        if existing >= 0:
            yield annotation_path("existing", self.existing, existing, view, frame_wh)
        else:
            yield box_path("existing", self.chosen.xyxy[i], view)
        if related >= 0:
            yield annotation_path("other", self.related, related, view, frame_wh)
        proposed = self.chosen.suggested_xyxy[i]
        if predicted >= 0 and np.isfinite(proposed).all():
            yield prediction_path("proposed", self.predicted, predicted, view, frame_wh)
        elif related < 0:
            yield box_path("proposed", proposed, view)
        if self.chosen.type[i] == FindingType.LOW_OVERLAP and existing >= 0 and predicted >= 0:
            yield from difference_paths(self.existing, existing, self.predicted.mask[predicted], view, frame_wh)


def _fetch(run: RunFolder, read: Any, rows: np.ndarray, empty: Any) -> tuple[Any, Sequence[int]]:
    """The table's rows named (each once), and for every finding its row among them, -1 for none."""
    wanted = np.unique(rows[rows >= 0])
    if not len(wanted):
        return empty, [-1] * len(rows)
    return read(run, wanted), np.where(rows >= 0, np.searchsorted(wanted, rows), -1).tolist()
