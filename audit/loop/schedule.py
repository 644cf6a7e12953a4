"""How long to train, on pictures of which size, where the user leaves it open."""

from __future__ import annotations

import numpy as np

from audit.core.table import FloatArray

SMALL_OBJECT_PX = 12.0
"""Nine of ten objects should measure at least this in the network's input: YOLO's finest cells are 8 px."""
CPU_SIZES, GPU_SIZES = (320, 416, 512, 640), (640, 960)
"""Longer sides to choose from, in pixels, multiples of the network's stride."""
STRIDE = 32
CPU_SEEN, GPU_SEEN = 2_000, 20_000
"""Pictures a fold's model sees while it learns, repeats counted: some minutes on two cores at 320 px. On bccd143
1,400 were enough for an average precision of .80 to .99 on pictures held out."""
EPOCHS = (8, 60)
"""Never fewer or more rounds."""
FEW_PICTURES = 500
"""Up to so many, small batches make more of each epoch."""


def epochs(pictures: int, on_gpu: bool) -> int:
    """Rounds over so many training pictures."""
    seen = GPU_SEEN if on_gpu else CPU_SEEN
    return int(np.clip(round(seen / max(pictures, 1)), *EPOCHS))


def batch(pictures: int) -> int:
    """Pictures per training step."""
    return 8 if pictures <= FEW_PICTURES else 16


def image_size(sides: FloatArray, longest_px: int, on_gpu: bool) -> int:
    """Longer side in pixels of the network's input, enough to see small objects and no more than the pictures have.

    sides: (n,) the root of each object's area, as a share of its picture's longer side. longest_px: of all pictures.
    """
    sizes = GPU_SIZES if on_gpu else CPU_SIZES
    needed = SMALL_OBJECT_PX / max(float(np.quantile(sides, 0.1)), 1e-6) if len(sides) else 0.0
    chosen = next((size for size in sizes if size >= needed), sizes[-1])
    return min(chosen, -(-longest_px // STRIDE) * STRIDE)
