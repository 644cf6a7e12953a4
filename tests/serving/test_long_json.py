"""What is parsed quickly is what ``json.loads`` gives; everything else is left to it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.serving.long_json import LONG, quickly_parsed

PICTURE = "iVBORw0KGgo/+" * (LONG // 12) + "=="
LEFT_ALONE = {
    "nothing": b"",
    "no object": b"[1]",
    "no picture": b'{"threshold": 1}',
    "a short one": b'{"image": "abcd"}',
    "no text": b'{"image": ' + b"1" * LONG + b"}",
    "no end": b'{"image": "' + PICTURE.encode(),
    "cut off": b'{"image": "' + PICTURE.encode() + b'"',
    "bad rest": b'{"image": "' + PICTURE.encode() + b'", }',
    "text behind": b'{"image": "' + PICTURE.encode() + b'"} x',
    "an escape": b'{"image": "' + PICTURE.encode() + b'\\n"}',
    "an escaped quote": b'{"image": "' + PICTURE.encode() + b'\\"", "a": "b"}',
    "a raw line break": b'{"image": "' + PICTURE.encode() + b'\n"}',
    "other letters": b'{"image": "' + PICTURE.encode() + "ä".encode() + b'"}',
    "bytes that are no letters": b'{"image": "' + PICTURE.encode() + b'\xff"}',
    "a mark in front": b"\xef\xbb\xbf" + b'{"image": "' + PICTURE.encode() + b'"}',
    "an inner one": json.dumps({"a": {"image": PICTURE}, "image": "short"}).encode(),
    "only an inner one": json.dumps({"a": {"image": PICTURE}}).encode(),
    "a later one": b'{"image": "' + PICTURE.encode() + b'", "image": "abcd"}',
    "deep": b'{"image": "' + PICTURE.encode() + b'", "a": ' + b"[" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_unusual_is_left_alone(body: bytes) -> None:
    assert quickly_parsed(body) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(PICTURE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("image"), inner, max_size=3),
    max_leaves=8,
)
requests = st.dictionaries(
    st.sampled_from(["image", "pos_points", "threshold", '"image": "']) | st.text(), values, max_size=5
)


@settings(deadline=None)  # the machine may be busy
@given(requests, st.booleans(), st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", ":\t ")]))
def test_what_is_parsed_is_what_json_gives(value: dict[str, object], plain: bool, separators: tuple[str, str]) -> None:
    body = json.dumps(value, ensure_ascii=plain, separators=separators).encode("utf-8", "surrogatepass")
    found = quickly_parsed(body)
    assert found is None or found == json.loads(body)


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_what_cvat_sends_is_parsed(separators: tuple[str, str]) -> None:
    value = {"pos_points": [[1.5, 2]], "image": PICTURE, "neg_points": [], "obj_bbox": None, "text": 'a "b" \\ ü'}
    assert quickly_parsed(json.dumps(value, separators=separators).encode()) == value


def test_of_two_pictures_the_last_counts() -> None:
    body = b'{"image": "abcd", "image": "' + PICTURE.encode() + b'"}'
    assert quickly_parsed(body) in (None, {"image": PICTURE})
