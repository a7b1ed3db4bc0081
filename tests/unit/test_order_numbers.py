"""Numbers of orders. The expected check characters are those of the Luhn algorithm, computed here digit by digit."""

import pytest

from mercato_server.domain.order_numbers import ALPHABET, check_character, has_form, new_numbers, parsed


def luhn(digits: str) -> str:
    total = 0
    for place, character in enumerate(digits[::-1]):
        value = ALPHABET.index(character)
        high, low = divmod(value * 2, 32) if place % 2 == 0 else (0, value)
        total += high + low
    return ALPHABET[(32 - total % 32) % 32]


def test_a_number_has_ten_characters_and_the_check_character_of_luhn() -> None:
    for number in new_numbers(1_000):
        assert len(number) == 11
        assert set(number) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        assert number[10] == luhn(number[:10])


def test_numbers_do_not_repeat() -> None:
    assert len(set(new_numbers(10_000))) == 10_000


def test_each_wrong_character_is_told() -> None:
    [number] = new_numbers(1)
    for place in range(11):
        for character in set(ALPHABET) - {number[place]}:
            wrong = number[:place] + character + number[place + 1 :]
            assert (parsed(wrong), has_form(wrong)) == (None, True)


def test_each_swap_of_neighbours_is_told_but_that_of_the_first_and_the_last_character() -> None:
    missed = {
        frozenset((one, other))
        for one in ALPHABET
        for other in ALPHABET
        if one != other and check_character(f"00000000{one}{other}") == check_character(f"00000000{other}{one}")
    }
    assert missed == {frozenset("0Z")}


@pytest.mark.parametrize("typed", ["{}", " {} ", "{0}-", "\t{}"])
def test_a_number_is_read_in_any_case_with_hyphens_and_spaces(typed: str) -> None:
    [number] = new_numbers(1)
    assert parsed(typed.format(f"{number[:5]}-{number[5:]}".lower())) == (None if "\t" in typed else number)


@pytest.mark.parametrize(("letter", "digit"), [("I", "1"), ("i", "1"), ("L", "1"), ("l", "1"), ("O", "0"), ("o", "0")])
def test_letters_that_look_like_digits_are_read_as_digits(letter: str, digit: str) -> None:
    digits = digit * 10
    assert parsed(letter * 10 + luhn(digits)) == digits + luhn(digits)


@pytest.mark.parametrize("text", ["", "0", "0" * 10, "0" * 12, "U" * 11, "é" * 11, "ß" * 11])
def test_other_texts_are_no_numbers(text: str) -> None:
    assert (parsed(text), has_form(text)) == (None, False)
