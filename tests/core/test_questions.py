"""The question about a finding, in plain words, and what its answers mean."""

from __future__ import annotations

import pytest

from audit.core.decisions import Verdict
from audit.core.findings import MODEL_FREE, FindingType, span_of
from audit.core.questions import Answer, question, verdict

WORDS = {
    FindingType.MISSING_ANNOTATION: "Is there a Pedestrian here? (99.9 %)",
    FindingType.LOW_OVERLAP: "Which outline fits the Car better? (99.9 %)",
    FindingType.MISMATCHING_LABEL: "Car or Pedestrian? (99.9 %)",
    FindingType.EXTRA_ANNOTATION: "Is there anything here at all? It is labelled Car, perhaps wrongly (99.9 %)",
    FindingType.DUPLICATE_ANNOTATION: "Is this the same Car, labelled twice? (99.9 %)",
    FindingType.INVALID_SHAPE: "Is this shape of Car broken? (99.9 %)",
    FindingType.UNUSUAL_SHAPE: "Is something wrong with this Car? It is unlike the others. (99.9 %)",
    FindingType.BROKEN_TRACK: "Does the track of this Car break here? (99.9 %)",
    FindingType.EMPTY_FRAME: "Is there anything to label in this frame? (99.9 %)",
    FindingType.INCONSISTENT_FRAMES: (
        "A frame that looks the same is labelled differently. Must this one change? (99.9 %)"
    ),
}


@pytest.mark.parametrize("kind", FindingType)
def test_every_type_asks_in_plain_words(kind: FindingType) -> None:
    assert question(kind, "Car", "Pedestrian", 0.999).text == WORDS[kind]


@pytest.mark.parametrize("kind", FindingType)
def test_one_question_stands_for_all_frames_of_a_cause(kind: FindingType) -> None:
    span = span_of(300, 12, 311)
    asked = question(kind, "Car", "Pedestrian", 0.999, span=span)
    before = WORDS[kind].removesuffix(" (99.9 %)")
    before += "." if before[-1] not in ".?" else ""
    assert asked.text == f"{before} On 300 frames, 12 to 311 (99.9 %)"
    assert span_of(1, 12, 12) == ""


@pytest.mark.parametrize("kind", FindingType)
def test_the_answers_and_verdicts_of_a_question_belong_together(kind: FindingType) -> None:
    asked = question(kind, "Car", "Pedestrian", 0.5)
    assert {verdict(asked, a) for a in (Answer.YES, Answer.NO)} == {Verdict.ACCEPT, Verdict.REJECT}
    assert verdict(asked, asked.accepts) is Verdict.ACCEPT
    assert verdict(asked, Answer.UNSURE) is Verdict.UNSURE
    assert verdict(asked, Answer.OTHER) is Verdict.ACCEPT
    about_a_shape = kind not in MODEL_FREE or kind is FindingType.UNUSUAL_SHAPE
    assert asked.other.casefold().endswith("other label …") if about_a_shape else not asked.other


def test_yes_there_is_something_keeps_the_label_that_was_called_extra() -> None:
    asked = question(FindingType.EXTRA_ANNOTATION, "Car", "", 0.5)
    assert (asked.yes, verdict(asked, Answer.YES)) == ("Yes, keep the label", Verdict.REJECT)
    assert (asked.no, verdict(asked, Answer.NO)) == ("No, remove it", Verdict.ACCEPT)


def test_a_name_neither_hides_the_question_nor_turns_it_around() -> None:
    long = question(FindingType.MISMATCHING_LABEL, "x" * 10_000, "Car", 0.5).text
    assert "or Car? (50.0 %)" in long
    turned = question(FindingType.MISMATCHING_LABEL, "\u202eרכב", "אדם", 0.5)
    assert turned.text == "\u2068\u202eרכב\u2069 or \u2068אדם\u2069? (50.0 %)"
    for name in ("an animal", "an umbrella", "a unicycle", "a car", "a user"):
        asked = question(FindingType.MISSING_ANNOTATION, "", name.split()[1], 0.5)
        assert asked.text.startswith(f"Is there {name} here?")


def test_a_box_is_no_answer_to_where_an_outline_runs() -> None:
    """Nothing could be taken over, so nothing is offered: "yes" notes it for a person to draw."""
    asked = question(FindingType.LOW_OVERLAP, "Car", "Car", 0.999, box_only=True)
    assert asked.text == "Does the outline of this Car miss part of it, or take in something else? (99.9 %)"
    assert (asked.yes, asked.no) == ("Yes, note it for redrawing", "No, it fits")
    assert verdict(asked, Answer.YES) is Verdict.ACCEPT
    for kind in set(FindingType) - {FindingType.LOW_OVERLAP}:
        assert question(kind, "Car", "Bus", 0.5, box_only=True) == question(kind, "Car", "Bus", 0.5)
