"""Which finding a text means, among many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.cli.decide import _finding
from audit.errors import UsageError

IDS = sorted(["00ab", "00abcd", "00ac", "0100", "ffff"])


class Watched(list[str]):
    """A list that counts how many of its items were looked at."""

    looks = 0

    def __getitem__(self, index: Any) -> Any:
        self.looks += 1
        return super().__getitem__(index)


def test_without_findings_nothing_is_meant() -> None:
    with pytest.raises(UsageError, match="'00ab' is not in this run"):
        _finding("00ab", [])


MEANT = {"00ac": "00ac", "00AC": "00ac", "00ab": "00ab", "00abc": "00abcd", "f": "ffff", "01": "0100"}


@pytest.mark.parametrize("text", MEANT)
def test_a_whole_id_or_what_begins_one_alone(text: str) -> None:
    assert _finding(text, IDS) == MEANT[text]


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "'' is not in this run"), ("2", "'2' is not in"), ("00abcdef", "is not in"), ("00a", "begins 3 findings")],
)
def test_anything_else_is_said(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        _finding(text, IDS)


def test_twenty_thousand_verdicts_do_not_go_through_all_findings_each() -> None:
    rng = np.random.default_rng(0)
    ids = Watched(sorted({f"{k:016x}" for k in rng.integers(0, 2**62, 100_000).tolist()}))
    for text in list(ids)[::1000]:
        ids.looks = 0
        assert _finding(text, ids) == text
        assert ids.looks < 100
