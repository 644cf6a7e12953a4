"""What is predicted often and labelled nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit import never_labelled
from audit.core.annotations import Predictions
from audit.runs import write_table

LABELS = ("car", "person", "dog")


def written(path: Path, rows: list[tuple[int, int, float]]) -> Path:
    """(frame, label, score) of each."""
    frame, label, score = np.array(rows).reshape(-1, 3).T
    predictions = Predictions(
        xyxy=[[0, 0, 9, 9]] * len(rows), frame=frame.astype(int), label=label.astype(int), score=score
    )
    write_table(path / "predictions.parquet", predictions, LABELS)
    return path / "predictions.parquet"


def test_nothing_predicted_or_labelled_is_nothing_to_tell(tmp_path: Path) -> None:
    assert never_labelled.notes(written(tmp_path, []), LABELS, ()) == ()
    assert never_labelled.notes(written(tmp_path, []), (), ()) == ()


@pytest.mark.parametrize("piece", [1, 2, 100])
def test_frames_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(never_labelled, "ROWS_AT_ONCE", piece)
    rows = [(0, 1, 0.9), (0, 1, 0.6), (0, 2, 0.5), (1, 1, 0.49), (2, 1, 0.5), (4, 1, 0.7), (4, 0, 0.9)]
    assert never_labelled.frames_by_label(written(tmp_path, rows), LABELS).tolist() == [1, 3, 1]


def test_what_is_labelled_anywhere_is_left_to_the_findings(tmp_path: Path) -> None:
    path = written(tmp_path, [(f, label, 0.9) for f in range(3) for label in (0, 1)])
    assert never_labelled.notes(path, LABELS, ("person", "car")) == ()
    (line,) = never_labelled.notes(path, LABELS, ("car",))
    assert line.startswith("predicted at 50 % or more, but labelled nowhere: 'person' on 3 frames. ")


def test_two_frames_are_too_few_to_speak_of(tmp_path: Path) -> None:
    assert never_labelled.notes(written(tmp_path, [(f, 1, 0.9) for f in range(2)]), LABELS, ()) == ()


def test_of_many_labels_the_most_frequent_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(never_labelled, "SHOWN", 1)
    rows = [(f, label, 0.9) for f in range(4) for label in range(3) if f or label != 1]
    (line,) = never_labelled.notes(written(tmp_path, rows), LABELS, ())
    assert "labelled nowhere: 'car' on 4 frames and 2 more labels. " in line
