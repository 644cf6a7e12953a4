"""Which pictures may not be parted, which fold each goes to, and which labels there is enough of to learn.

Pictures that show the same thing stay in one fold: a model that has seen the frame before would repeat
that frame's mistake instead of finding it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from audit.core.annotations import Annotations, Frames
from audit.core.labels import listing
from audit.core.likeness import UNKNOWN, Hashes, distance, near_pairs
from audit.core.table import BoolArray, IntArray
from audit.core.words import amount

ALIKE_BITS = 6
"""Pictures whose 64-bit hashes differ in at most this many bits count as the same one, anywhere."""
NEIGHBOUR_BITS = 14
"""The same for pictures with adjacent numbers in a task, as frames of a video are."""

LEAST_PICTURES = 10
"""With fewer labelled pictures there is nothing to learn from."""
LEAST_OBJECTS = 10
"""A label with fewer objects to learn from in any fold's training is left out."""
FEW_OBJECTS = 50
"""A label with fewer objects is learnt, but the user is told that it will be known poorly."""
EMPTY_SHARE = 0.1
"""At most this share of the training pictures may be ones without any object."""


class TooLittleError(ValueError):
    """There is too little to learn from; the text says what there is and what is needed."""


@dataclass(frozen=True)
class Plan:
    """fold: (n,) from 0 on, of each picture. group: (n,) pictures of one number are never parted.

    trained: (n,) False for pictures that are only judged. labels: codes that are learnt, ascending.
    notes: lines for the user, such as which labels are left out.
    """

    fold: IntArray
    group: IntArray
    trained: BoolArray
    labels: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def folds(self) -> int:
        """How many there are."""
        return int(self.fold.max(initial=-1)) + 1


def groups(frames: Frames, hashes: Hashes, annotations: Annotations) -> IntArray:
    """(n,) pictures that are near-duplicates, alike neighbours in a sequence, or share a track have one number."""
    links = np.vstack(
        [near_pairs(hashes, ALIKE_BITS), _neighbours(frames, hashes), _shared_tracks(frames, annotations)]
    )
    n = len(frames)
    graph = coo_matrix((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _neighbours(frames: Frames, hashes: Hashes) -> IntArray:
    order = np.lexsort([frames.number, frames.task])
    left, right = order[:-1], order[1:]
    follows = (frames.task[left] == frames.task[right]) & (frames.number[right] - frames.number[left] <= 1)
    known = (hashes[left] != UNKNOWN) & (hashes[right] != UNKNOWN)
    alike = follows & known & (distance(hashes[left], hashes[right]) <= NEIGHBOUR_BITS)
    return np.column_stack([left[alike], right[alike]])


def _shared_tracks(frames: Frames, annotations: Annotations) -> IntArray:
    a = annotations[annotations.track]
    task = frames.task[a.frame]
    order = np.lexsort([a.frame, a.annotation_id, task])
    left, right = order[:-1], order[1:]
    same = (a.annotation_id[left] == a.annotation_id[right]) & (task[left] == task[right])
    return np.column_stack([a.frame[left[same]], a.frame[right[same]]])


def plan(frames: Frames, group: IntArray, objects: IntArray, names: tuple[str, ...], folds: int, *, seed: int) -> Plan:
    """Share the pictures out to ``folds`` folds, fewer where there are too few groups; the same for the same seed.

    group: (n,) as ``groups`` gives it. objects: (n, labels) how many of each label a picture holds; names: theirs.
    Raises TooLittleError.
    """
    labelled = objects.sum(axis=1) > 0
    if labelled.sum() < LEAST_PICTURES:
        raise TooLittleError(
            f"{int(labelled.sum())} of {len(frames)} pictures have objects to learn from; at least {LEAST_PICTURES} "
            f"are needed, and some hundreds are better. Label more, or audit with a model that knows these labels: "
            "cvat-audit run SOURCE --model WEIGHTS"
        )
    group, cut = _cut(frames, group, folds)
    possible = min(folds, len(np.unique(group[labelled])))
    fold = _shared_out(group, objects, possible, seed)
    trained = _trained(fold, labelled, seed)
    labels, notes = _learnable(fold, objects, names)
    if possible < folds:
        notes = (f"{amount(possible, 'fold')} instead of {folds}: the pictures form no more groups", *notes)
    if not trained[~labelled].all():
        left_out = int((~trained).sum())
        notes += (f"{left_out} of {int((~labelled).sum())} pictures without objects are judged but not learnt from",)
    return Plan(fold, group, trained, labels, (*cut, *notes))


def _cut(frames: Frames, group: IntArray, folds: int) -> tuple[IntArray, tuple[str, ...]]:
    """Groups that are larger than a fold, cut into runs of neighbouring frames."""
    most = -(-len(group) // folds)
    sizes = np.bincount(group)
    large = np.flatnonzero(sizes > most)
    result, fresh = group.copy(), len(sizes)
    for one in large.tolist():
        rows = np.flatnonzero(group == one)
        rows = rows[np.lexsort([frames.number[rows], frames.task[rows]])]
        pieces = -(-len(rows) // most)
        result[rows] = fresh + np.arange(len(rows)) * pieces // len(rows)
        fresh += pieces
    if not len(large):
        return result, ()
    return result, (
        f"{int(sizes[large].sum())} pictures belong together (one scene, or objects tracked through them) and are cut "
        "into runs of neighbours: near the cuts a model judges frames like those it learnt",
    )


def _shared_out(group: IntArray, objects: IntArray, folds: int, seed: int) -> IntArray:
    """Each group to the fold that so far has least of what the group holds; large and rare ones first."""
    _, place = np.unique(group, return_inverse=True)
    content = np.zeros((place.max() + 1, objects.shape[1] + 1))
    np.add.at(content, place, np.column_stack([objects, np.ones(len(group))]))
    content /= np.maximum(content.sum(axis=0), 1)
    shuffled = np.random.default_rng(seed).permutation(len(content))
    order = shuffled[np.argsort(-content[shuffled].sum(axis=1), kind="stable")]
    held = np.zeros((folds, content.shape[1]))
    chosen = np.zeros(len(content), np.int64)
    for one in order.tolist():
        chosen[one] = (held @ content[one]).argmin()
        held[chosen[one]] += content[one]
    return chosen[place]


def _trained(fold: IntArray, labelled: BoolArray, seed: int) -> BoolArray:
    """All pictures with objects, and of those without at most ``EMPTY_SHARE``, chosen at random per fold."""
    trained = labelled.copy()
    rng = np.random.default_rng(seed)
    for one in np.unique(fold).tolist():
        empty = rng.permutation(np.flatnonzero((fold == one) & ~labelled))
        most = EMPTY_SHARE / (1 - EMPTY_SHARE) * ((fold == one) & labelled).sum()
        trained[empty[: int(np.ceil(most))]] = True
    return np.asarray(trained)


def _learnable(fold: IntArray, objects: IntArray, names: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Codes of the labels that every fold's training holds enough of, and what to say about the others."""
    held = np.array([objects[fold == one].sum(axis=0) for one in range(int(fold.max()) + 1)])
    total = held.sum(axis=0)
    to_learn = (total - held).min(axis=0)
    enough = to_learn >= LEAST_OBJECTS
    scarce, few = np.flatnonzero((total > 0) & ~enough), np.flatnonzero(enough & (total < FEW_OBJECTS))
    told = listing([f"{names[i]} ({total[i]})" for i in scarce.tolist()])
    if not enough.any():
        raise TooLittleError(
            f"no label has enough objects outside each fold to learn from (at least {LEAST_OBJECTS}): {told}. "
            "Label more, use fewer folds, or audit with a model that knows these labels: "
            "cvat-audit run SOURCE --model WEIGHTS"
        )
    notes: tuple[str, ...] = ()
    if len(scarce):
        notes += (f"too few objects to learn, so not audited: {told}",)
    if len(few):
        known = listing([f"{names[i]} ({total[i]})" for i in few.tolist()])
        notes += (f"fewer than {FEW_OBJECTS} objects, so expect weak findings: {known}",)
    return tuple(np.flatnonzero(enough).tolist()), notes
