"""The distance of two spellings, and the keys by which a misspelled word finds the right one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain.spelling import Candidate, distance, edits_max, keys, nearest


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [
        ("kestrel", "kestrel", 0),
        ("kestrl", "kestrel", 1),
        ("kesttrel", "kestrel", 1),
        ("kestral", "kestrel", 1),
        ("sheos", "shoes", 1),
        ("golves", "gloves", 1),
        ("ca", "abc", 3),  # the restricted distance; with edits of swapped letters it would be 2
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("waterprof", "waterproof", 1),
    ],
)
def test_the_distance_counts_edits_and_a_swap_as_one(left: str, right: str, edits: int) -> None:
    assert distance(left, right) == distance(right, left) == edits


@pytest.mark.parametrize(("word", "most"), [("tv", 0), ("bag", 1), ("shirt", 1), ("gloves", 2), ("waterproof", 2)])
def test_a_longer_word_may_have_more_typos(word: str, most: int) -> None:
    assert edits_max(word) == most


@st.composite
def misspellings(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a word and what is left of it after as many edits as its misspelled form allows; the first letter stays."""
    letters = st.sampled_from("abcde")
    word = draw(st.text(letters, min_size=3, max_size=12))
    typed = word
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(1, max(len(typed) - 1, 1)))
        match draw(st.integers(0, 3)):
            case 0:
                typed = typed[:place] + draw(letters) + typed[place:]
            case 1:
                typed = typed[:place] + typed[place + 1 :]
            case 2:
                typed = typed[:place] + draw(letters) + typed[place + 1 :]
            case _:
                typed = typed[:place] + typed[place : place + 2][::-1] + typed[place + 2 :]
    return word, typed


@given(misspellings())
def test_words_that_are_near_enough_share_a_key(pair: tuple[str, str]) -> None:
    word, typed = pair
    if distance(word, typed) <= edits_max(typed):
        assert set(keys(word)) & set(keys(typed))


def test_a_word_has_few_keys() -> None:
    assert len(keys("abcdefghijkl")) <= 22


@pytest.mark.parametrize(
    ("typed", "candidates", "meant"),
    [
        ("kestril", [("kestrel", 2), ("kestral", 1)], "kestrel"),
        ("kestril", [("kestrel", 1), ("kestral", 2)], "kestral"),
        ("sheos", [("shoe", 1), ("shops", 9)], "shoe"),
        ("golves", [("wolves", 5), ("gloves", 1)], "gloves"),
        ("baal", [("ball", 1), ("basketball", 9)], "ball"),
        ("zzzzzz", [("kestrel", 1)], None),
        ("bll", [("ball", 1), ("bell", 2)], "bell"),
    ],
)
def test_the_fewest_edits_decide_and_then_the_number_of_products(typed: str, candidates: list[tuple[str, int]], meant: str | None) -> None:
    assert nearest(typed, [Candidate(*each) for each in candidates]) == meant
