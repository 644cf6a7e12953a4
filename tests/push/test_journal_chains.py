"""What counts as how a shape was before our writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit.journal import DONE, Chain, Item, Journal, Request, Result
from audit.push_ports import SHAPES, TRACKS

OLD, OURS, LAST = ({"id": 5, "label_id": label, "shapes": []} for label in (1, 2, 3))


def chain(tmp_path: Path, kind: str, found: dict[str, Any], left: dict[str, Any] = OURS) -> Chain:
    """After two pushes. left: what the first left; found: what the second found."""
    writes = [(("a",), OLD, left), (("b",), found, LAST)]
    requests = [
        Request(n, 1, kind, "update", False, (Item(keys, 5, before, after),), results=(Result(DONE, 5, after),))
        for n, (keys, before, after) in enumerate(writes)
    ]
    (made,) = Journal(tmp_path / "journal.jsonl", requests).chains()
    return made


def test_our_own_writes_are_one_change(tmp_path: Path) -> None:
    made = chain(tmp_path, SHAPES, OURS)
    assert (made.before, made.after, made.findings) == (OLD, LAST, ("a", "b"))


@pytest.mark.parametrize("found", [{**OURS, "label_id": 9}, {**OURS, "id": 6}])
def test_what_somebody_made_of_it_counts(tmp_path: Path, found: dict[str, Any]) -> None:
    assert chain(tmp_path, SHAPES, found).before == found


def test_a_server_that_tells_more_or_in_another_order_changed_nothing(tmp_path: Path) -> None:
    attributes = [{"spec_id": n, "value": "x"} for n in (1, 2)]
    left = {**OURS, "attributes": attributes}
    assert chain(tmp_path, SHAPES, {**OURS, "attributes": attributes[::-1], "score": 1.0}, left).before == OLD
    keys = [{"id": n, "frame": n, "points": [1.0]} for n in (1, 2)]
    anew = [{**key, "id": 100} for key in keys]
    assert chain(tmp_path, TRACKS, {**OURS, "shapes": anew}, {**OURS, "shapes": keys}).before == OLD
    moved = {**OURS, "shapes": [{**anew[0], "points": [2.0]}, anew[1]]}
    assert chain(tmp_path, TRACKS, moved, {**OURS, "shapes": keys}).before == moved


def test_what_was_deleted_and_is_there_again_is_somebody_elses(tmp_path: Path) -> None:
    delete = Request(0, 1, SHAPES, "delete", False, (Item(("a",), 5, OLD, None),), results=(Result(DONE, 5, None),))
    update = Request(1, 1, SHAPES, "update", False, (Item(("b",), 5, OURS, LAST),), results=(Result(DONE, 5, LAST),))
    (made,) = Journal(tmp_path / "journal.jsonl", [delete, update]).chains()
    assert (made.before, made.after) == (OURS, LAST)
