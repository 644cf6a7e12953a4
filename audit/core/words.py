"""Numbers of things in sentences."""

from __future__ import annotations


def amount(count: int, noun: str) -> str:
    """Such as "0 frames", "1 frame", "1,200 frames"; for nouns that take an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
