"""Numbers of things in sentences."""

from __future__ import annotations

from audit.core.words import amount


def test_one_is_singular_all_else_plural() -> None:
    assert [amount(n, "frame") for n in (0, 1, 2, 1200)] == ["0 frames", "1 frame", "2 frames", "1,200 frames"]
