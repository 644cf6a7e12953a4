"""What a reviewer is asked about a finding: one question in plain words, and what "yes" and "no" then mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from audit.core.decisions import Verdict
from audit.core.findings import FindingType


class Answer(str, Enum):
    """What a reviewer can say. other: "neither; it is this label instead"."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"
    OTHER = "other"


NAME_SHOWN = 60
"""Longest name of a label in a question, in characters: a longer one would push the question itself away."""

VOWEL_SOUND = re.compile(r"[aeio]|u(?!ni|se|te|r[aeio])", re.IGNORECASE)
"""How words begin that take "an": umbrella, but not unicycle."""

KEEP = "Keep it, under another label …"
"""What a reviewer says who finds the name wrong rather than what was asked."""


@dataclass(frozen=True)
class Question:
    """text: the question. yes, no: what the two buttons say. accepts: the answer that accepts the finding.

    other: what the button for another label says; what choosing one does besides naming; "" if there is no shape
    whose label could be another.
    """

    text: str
    yes: str
    no: str
    accepts: Answer = Answer.YES
    other: str = "Other label …"


def question(
    finding_type: int, label: str, suggested: str, score: float, *, box_only: bool = False, span: str = ""
) -> Question:
    """The question about a finding of this type. label, suggested: names, "" for none. score: in [0, 1].

    box_only: the shape is a polygon or a mask, and the model gives but a box, which cannot take its place.
    span: of a cause that shows on many frames of a video, on which (``audit.core.findings.span_of``).
    "Yes" always affirms the question as it stands, so for an extra label it is "no" that accepts the finding.
    """
    kind = FindingType(finding_type)
    label, suggested = _shown(label), _shown(suggested)
    sure = f"({100 * score:.1f} %)"
    if span:
        sure = f"{span[0].upper()}{span[1:]} {sure}"
    if kind is FindingType.MISSING_ANNOTATION:
        text = f"Is there {article(suggested)} {suggested} here? {sure}"
        return Question(text, "Yes, add it", "No, nothing to add")
    if kind is FindingType.MISMATCHING_LABEL:
        return Question(f"{label} or {suggested}? {sure}", f"It is {suggested}", f"It is {label}")
    if kind is FindingType.LOW_OVERLAP and box_only:
        text = f"Does the outline of this {label} miss part of it, or take in something else? {sure}"
        return Question(text, "Yes, note it for redrawing", "No, it fits", other=KEEP)
    if kind is FindingType.LOW_OVERLAP:
        return Question(
            f"Which outline fits the {label} better? {sure}", "The dashed blue one", "The orange one", other=KEEP
        )
    if kind is FindingType.EXTRA_ANNOTATION:
        text = f"Is there anything here at all? It is labelled {label}, perhaps wrongly{'.' if span else ''} {sure}"
        return Question(text, "Yes, keep the label", "No, remove it", accepts=Answer.NO)
    return _without_model(kind, label, sure)


def _without_model(kind: FindingType, label: str, sure: str) -> Question:
    """The question where labels alone raise it. label: as shown. sure: the score in words."""
    if kind is FindingType.DUPLICATE_ANNOTATION:
        text = f"Is this the same {label}, labelled twice? {sure}"
        return Question(text, "Yes, remove one", "No, keep both", other=KEEP)
    if kind is FindingType.INVALID_SHAPE:
        text = f"Is this shape of {label} broken? {sure}"
        return Question(text, "Yes, it is broken", "No, it is fine", other="Broken, and another label …")
    if kind is FindingType.UNUSUAL_SHAPE:
        text = f"Is something wrong with this {label}? It is unlike the others. {sure}"
        return Question(text, "Yes, it is wrong", "No, it is fine", other="Wrong: it has another label …")
    if kind is FindingType.BROKEN_TRACK:
        text = f"Does the track of this {label} break here? {sure}"
        return Question(text, "Yes, it is broken", "No, it is right", other="")
    if kind is FindingType.EMPTY_FRAME:
        text = f"Is there anything to label in this frame? {sure}"
        return Question(text, "Yes, labels are missing", "No, it is empty", other="")
    text = f"A frame that looks the same is labelled differently. Must this one change? {sure}"
    return Question(text, "Yes, change this one", "No, it is right", other="")


def blind_question(label: str) -> Question:
    """About a label drawn by chance, or with "" about a photo: nothing is suggested. "accept" means: a mistake."""
    if not label:
        return Question(
            "Does anything in this photo lack an outline?", "Yes, something does", "No, all is outlined", other=""
        )
    name = _shown(label)
    text = f"Is this {article(name)} {name}, and well outlined?"
    return Question(text, "Yes, it is fine", "No, something is wrong", accepts=Answer.NO)


def verdict(asked: Question, answer: Answer) -> Verdict:
    """What an answer to this question says about the finding."""
    if answer is Answer.UNSURE:
        return Verdict.UNSURE
    if answer is Answer.OTHER:
        return Verdict.ACCEPT
    return Verdict.ACCEPT if answer is asked.accepts else Verdict.REJECT


def article(noun: str) -> str:
    """What stands before a name: "an" or "a"."""
    return "an" if VOWEL_SOUND.match(noun.lstrip("\u2068")) else "a"


def _shown(name: str) -> str:
    """A name cut to ``NAME_SHOWN`` that cannot turn the reading direction around it (Unicode's isolates, UAX #9)."""
    cut = name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}…"
    return cut if name.isascii() else f"\u2068{cut}\u2069"
