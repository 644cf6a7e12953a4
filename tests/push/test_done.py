"""What earlier pushes settled, though a shape and a track may have the same id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.journal import DONE, Item, Journal, Request, Result
from audit.push_ports import SHAPES, TRACKS
from audit.pushing import _done


def closed(number: int, kind: str, action: str, item: Item, after: dict[str, Any] | None) -> Request:
    return Request(number, 1, kind, action, False, (item,), results=(Result(DONE, 5, after),))


def test_a_new_shape_does_not_hide_a_track_of_its_id(tmp_path: Path) -> None:
    shape, track = {"id": 5}, {"id": 5, "shapes": []}
    made = closed(0, SHAPES, "create", Item(("new",), None, None, shape), shape)
    changed = closed(
        1, TRACKS, "update", Item(("fixed",), 5, track, {**track, "label_id": 2}), {**track, "label_id": 2}
    )
    assert _done(Journal(tmp_path / "journal.jsonl", [made, changed])) == {("new", -1): 5, ("fixed", 5): 5}
