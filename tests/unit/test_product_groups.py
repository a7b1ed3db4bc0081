"""Options of variants: how they are compared, ordered, shown and written into files."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain.product_groups import Option, OptionsMismatchError, cell, dump, fold, key, of_cell, of_group, parse, text

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=12)
OPTIONS = st.lists(st.builds(Option, TEXTS, TEXTS), max_size=5).map(tuple)


@given(TEXTS)
def test_a_folded_text_is_folded_once_and_for_all(value: str) -> None:
    assert fold(fold(value)) == fold(value)
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, f" {value} ")) == fold(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Rot", "ROT "), ("Straße", "STRASSE"), ("\u00c5", "A\u030a"), ("\u00c5", "\u212b"), ("\u03a3", "\u03c2"), ("\u1e9e", "ss")],
)
def test_texts_that_differ_in_case_or_form_are_equal(one: str, other: str) -> None:
    """The pairs are those of CaseFolding.txt (C and F) and of UAX 15, figure 3."""
    assert fold(one) == fold(other)


@given(OPTIONS)
def test_cells_and_columns_give_back_the_options(options: tuple[Option, ...]) -> None:
    assert of_cell(cell(options)) == options
    assert parse(dump(options)) == options


@pytest.mark.parametrize("wrong", ["Size", "Size=", "=M", "Size=M=L", "Size=M;Colour", "\\=M"])
def test_a_cell_that_is_no_list_of_options_is_told(wrong: str) -> None:
    assert of_cell(wrong) is None


def test_options_have_the_order_and_spelling_of_their_group() -> None:
    given_ones = (Option("COLOUR", "Red "), Option("size", "M"))
    found = of_group(given_ones, ["Size", "Colour"])
    assert text(found) == "Size: M, Colour: Red"
    assert key(found) == key(given_ones)
    for names in (["Size"], ["Size", "Colour", "Fit"], ["Size", "Fit"]):
        with pytest.raises(OptionsMismatchError):
            of_group(given_ones, names)
    with pytest.raises(OptionsMismatchError):
        of_group((*given_ones, Option("Size", "L")), ["Size", "Colour"])
