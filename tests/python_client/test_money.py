"""Amounts of the Python client as decimals."""

import decimal
import pickle
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato.money import DECIMALS, decimals, money, to_decimal
from mercato.v1.money_pb2 import Money
from mercato_server.domain import money as of_server

INT64 = 2**63


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("19.99", "USD", 1999),
        ("19.9", "EUR", 1990),
        ("19.990", "EUR", 1999),
        ("-0.01", "USD", -1),
        ("1500", "JPY", 1500),
        ("1500.00", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("0.0001", "CLF", 1),
        (19, "USD", 1900),
        (0, "USD", 0),
        (Decimal("1E+2"), "USD", 10_000),
        (Decimal("-0"), "USD", 0),
        (Decimal("92233720368547758.07"), "USD", INT64 - 1),
    ],
)
def test_amounts_become_minor_units(amount: Decimal | int | str, currency: str, minor: int) -> None:
    made = money(amount, currency)
    assert (made.currency_code, made.minor_units, made.HasField("minor_units")) == (currency, minor, True)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1999, "USD", "19.99"), (1, "USD", "0.01"), (0, "EUR", "0.00"), (-5, "KWD", "-0.005"), (1500, "JPY", "1500"), (1, "UYW", "0.0001")],
)
def test_minor_units_become_decimals_with_all_digits_of_the_currency(minor: int, currency: str, text: str) -> None:
    assert str(to_decimal(Money(currency_code=currency, minor_units=minor))) == text


@given(st.integers(-INT64, INT64 - 1), st.sampled_from(sorted(DECIMALS)))
def test_no_amount_changes_on_its_way_through_a_decimal_whatever_the_context(minor: int, currency: str) -> None:
    sent = Money(currency_code=currency, minor_units=minor)
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact, decimal.Rounded, decimal.FloatOperation])):
        got = to_decimal(sent)
        assert Fraction(got) == Fraction(minor, 10 ** decimals(currency))
        if minor > -INT64:
            assert money(got, currency) == sent
            assert money(str(got), currency) == sent


@pytest.mark.parametrize("amount", [19.99, 20.0, float("nan"), True, None, b"1", Fraction(1, 2), 1j])
def test_other_types_are_refused_floats_above_all(amount: Any) -> None:
    with pytest.raises(TypeError, match="Decimal, an int or a str"):
        money(amount, "USD")


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("19.999", "USD"),
        ("0.5", "JPY"),
        (Decimal("0.0001"), "KWD"),
        ("", "USD"),
        (" 1", "USD"),
        ("1\n", "USD"),
        ("1_000", "USD"),
        ("1,000.00", "USD"),
        ("1e3", "USD"),
        ("NaN", "USD"),
        ("Infinity", "USD"),
        (".5", "USD"),
        ("\u0661", "USD"),
        (Decimal("NaN"), "USD"),
        (Decimal("sNaN"), "USD"),
        (Decimal("-Infinity"), "USD"),
        (Decimal("1E+1000000000"), "USD"),
        (Decimal("1E-1000000000"), "USD"),
        (Decimal("92233720368547758.08"), "USD"),
        (10**40, "USD"),
    ],
)
def test_amounts_that_minor_units_cannot_express_are_refused(amount: Decimal | int | str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"amount of money|decimals of|more than a message"):
        money(amount, currency)


@pytest.mark.parametrize("currency", ["", "usd", "XAU", "XXX", "ABC", "US", "USD "])
def test_a_currency_that_iso_4217_does_not_list_is_refused_rather_than_guessed(currency: str) -> None:
    with pytest.raises(ValueError, match="no currency of ISO 4217"):
        money(1, currency)
    with pytest.raises(ValueError, match="no currency of ISO 4217"):
        to_decimal(Money(currency_code=currency, minor_units=1))


def test_a_message_without_an_amount_is_not_zero() -> None:
    with pytest.raises(ValueError, match="no minor_units"):
        to_decimal(Money(currency_code="USD"))


def test_the_server_counts_decimals_as_the_client_does() -> None:
    assert {code: of_server.DECIMALS.get(code, 2) for code in DECIMALS} == DECIMALS
    assert of_server.DECIMALS.keys() <= DECIMALS.keys()


def test_amounts_are_messages_like_any_other() -> None:
    assert pickle.loads(pickle.dumps(to_decimal(money("1.00", "USD")))) == Decimal("1.00")  # noqa: S301 - our own bytes
