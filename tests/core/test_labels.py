import pytest

from audit.core.labels import listing, match_labels


def test_by_name_then_loosely() -> None:
    match = match_labels(["person", "traffic light", "zebra"], ["Traffic_Light", "person", "lorry"], {})
    assert match.codes.tolist() == [1, 0, -1]
    assert match.unknown_classes == ("zebra",)
    assert match.unknown_labels == ("lorry",)


def test_mapping_goes_first_and_several_classes_may_be_one_label() -> None:
    match = match_labels(["car", "truck"], ["car", "vehicle"], {"car": "vehicle", "truck": "vehicle"})
    assert match.codes.tolist() == [1, 1]


@pytest.mark.parametrize(("mapping", "said"), [({"cow": "car"}, "no class 'cow'"), ({"car": "cow"}, "no label 'cow'")])
def test_a_mapping_that_names_nothing_is_refused(mapping: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        match_labels(["car"], ["car"], mapping)


def test_empty_sides() -> None:
    assert match_labels([], ["car"], {}).codes.shape == (0,)
    assert match_labels(["car"], [], {}).unknown_classes == ("car",)


def test_listing_is_short() -> None:
    assert listing([]) == "none"
    assert listing([str(i) for i in range(30)], most=2) == "'0', '1' and 28 more"
