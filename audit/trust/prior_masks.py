"""Weights of the traits of masks before anything is known of the data at hand.

Fitted as those of boxes are (``audit.trust.prior``), to mistakes planted into the polygons of coco128-permissive
by ``audit.trust.planting_masks``, by ``scripts/bench masks --fit``. Traits that have no weight here count 0.
"""

from __future__ import annotations

WEIGHTS: dict[str, float] = {
    "constant": -4.0,
    "boundary surprising": 1.5,
    "boundary surprise": 1.5,
    "missing part": 1.0,
    "extra part": 1.0,
    "merged surely": 2.0,
    "split": 2.0,
}
