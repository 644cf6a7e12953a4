"""Weights of the traits of masks before anything is known of the data at hand.

Each kind of mistake has its own, against sound masks. Fitted as those of boxes are (``audit.trust.prior``), to
mistakes planted by ``audit.trust.planting_masks`` into the polygons of coco128-permissive and of the COCO photographs
in the repositories COCO-MINI and COCO_Tiny; predictions: yolo11n's real boxes with simulated masks, on
coco128-permissive two draws and those of LiteMedSAM too. Written by ``scripts/bench masks --fit --also FILES``.
Traits that have no weight here count 0.
"""

from __future__ import annotations

WEIGHTS: dict[str, tuple[float, ...]] = {
    # eroded, dilated, shifted, cut, merged, split: as in ``MaskMistake``
    "constant": (-4.65, -4.89, -6.18, -5.80, -7.43, -6.93),
    "prediction score": (-0.25, -0.24, 0.11, -0.66, -0.26, -0.37),
    "prediction score above 0.5": (0.32, -0.23, 0.05, 0.09, -1.06, 0.28),
    "surprise": (0.48, 1.08, 0.47, 0.08, -0.83, 0.11),
    "surprising": (-0.59, 0.25, -0.19, -0.86, -0.89, -0.85),
    "surprising and predicted surely": (-0.63, 0.12, -0.18, -0.99, 0.09, -0.41),
    "overlap below 0.85": (1.70, 0.41, 0.67, 1.40, 1.75, 1.71),
    "overlap below 0.7": (-0.27, -0.98, -0.00, -0.44, 0.63, -0.01),
    "overlap below 0.5": (-2.41, 0.41, -1.10, -0.63, -0.41, -2.65),
    "overlap below 0.85 and predicted surely": (-0.48, 0.39, 0.19, 0.30, -0.89, -0.18),
    "second worst side": (-1.31, 0.09, 0.40, 0.84, -0.34, 1.30),
    "size": (0.52, -0.62, -0.10, 0.37, 0.58, 0.40),
    "rival": (0.82, 0.21, 0.50, 0.43, -2.13, -0.99),
    "covered by a label": (-0.05, 0.33, -0.63, -0.16, -0.44, 0.04),
    "recall of its label": (0.34, -0.23, -0.27, 0.51, -0.74, 0.81),
    "sides": (0.64, -0.43, 1.10, 0.13, 0.51, 0.14),
    "sides speak for a slip": (-0.59, 0.33, 0.23, -0.20, -1.55, -0.15),
    "sides speak loudly": (1.08, 0.10, -0.06, 0.79, -0.14, 0.34),
    "sides speak for a slip, predicted surely": (0.37, -0.36, 0.41, -0.12, -1.30, -0.28),
    "worst side": (0.34, -0.06, 0.24, 3.16, 1.92, 1.43),
    "worst side speaks for a slip": (-1.22, -0.34, -1.38, 0.73, 0.20, 0.64),
    "worst side speaks for a slip, predicted surely": (0.56, -0.58, -0.54, 1.60, 1.71, 0.94),
    "overlap below 0.7 and predicted surely": (0.42, -0.37, -0.42, 0.12, 1.10, 0.59),
    "width off": (-1.38, 0.04, -0.28, 0.54, 0.85, 0.54),
    "height off": (-0.87, -0.91, -0.35, -0.04, -1.78, 1.83),
    "any name fits better": (-0.35, -1.08, -0.47, -1.51, -1.42, -0.87),
    "boundary surprise": (0.57, 2.19, 0.90, -0.65, -0.95, -0.43),
    "boundary surprising": (-0.35, 1.27, 0.50, -0.80, -1.15, -0.39),
    "boundary surprising and predicted surely": (0.67, 1.09, -0.13, 1.16, 1.24, -0.61),
    "box surprise": (0.13, -1.32, 0.35, 0.75, 0.60, -0.77),
    "box surprising": (-0.03, -1.28, -0.26, -0.18, -1.00, -0.24),
    "box surprising and predicted surely": (0.34, 0.43, -0.26, 0.19, 2.29, 0.13),
    "missing part": (-0.68, -1.11, 0.48, 1.85, -0.36, 1.36),
    "extra part": (-1.31, 0.30, 0.71, -1.48, 3.74, -0.46),
    "grown": (-1.40, 2.05, 0.09, 1.05, -1.01, 0.71),
    "one-sided": (-0.58, 0.64, 0.06, -0.47, -1.00, -1.75),
    "drifted": (1.24, -0.13, -0.50, -0.95, 0.57, -0.38),
    "merged": (-0.17, -0.37, -0.21, 0.21, 1.15, -0.44),
    "merged surely": (-0.08, -0.16, -0.04, 0.10, 2.06, -0.19),
    "split": (-0.84, 0.85, -0.86, -2.00, 1.01, 3.75),
    "outside all round": (-0.82, 1.70, -0.26, 0.04, -0.85, -0.01),
    "inside all round": (0.67, -0.39, -0.05, 0.89, -0.16, 0.31),
    "off all round, predicted surely": (0.51, 0.45, 0.14, 0.18, 0.93, 0.52),
    "gains by growing": (3.47, 1.81, -0.76, -2.23, -1.01, -0.94),
    "gains by growing, predicted surely": (0.43, 0.89, -0.23, -0.39, -0.75, 0.01),
    "gains by growing, by size": (0.73, 1.06, 0.41, -0.02, 0.95, -0.61),
    "gains by moving": (0.41, -0.35, 1.42, -0.70, -2.72, -2.05),
    "gains by moving, predicted surely": (0.52, 0.06, 1.24, 0.18, -0.56, -1.21),
    "gains by moving, by size": (-0.51, -0.17, 0.48, -0.46, 0.38, 0.55),
    "fits once grown": (0.27, 0.86, -0.75, -1.06, -0.88, -0.69),
    "fits once moved": (-2.47, -2.02, 1.71, -1.21, -0.93, -1.67),
    "fits once either, by much": (0.78, 0.37, 1.23, -0.23, -0.38, -0.74),
    "slip": (-1.61, 1.58, -0.21, 0.95, -3.18, 0.93),
    "clear slip": (0.94, -0.01, 0.63, -1.28, 1.28, 0.06),
}
