"""Amounts that Stripe can express: https://docs.stripe.com/currencies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercato_server.payments.stripe_amounts import from_stripe, to_stripe, unpayable


@pytest.mark.parametrize(
    ("amount_minor", "currency", "reason"),
    [
        (1, "USD", None),
        (99_999_999, "USD", None),
        (100_000_000, "USD", "eight digits"),
        (99_999_999, "JPY", None),
        (999_999, "ISK", None),
        (1_000_000, "ISK", "eight digits"),
        (999_999, "UGX", None),
        (1_000_000, "UGX", "eight digits"),
        (100, "MGA", None),
        (150, "MGA", "whole number"),
        (9_999_999_900, "MGA", None),
        (10_000_000_000, "MGA", "eight digits"),
        (5_120, "KWD", None),
        (5_124, "KWD", "must be 0"),
        (5_121, "BHD", "must be 0"),
        (1_234, "CLF", "no amounts in CLF"),
        (0, "USD", "above 0"),
        (-5, "USD", "above 0"),
    ],
)
def test_an_amount_that_stripe_cannot_express_has_a_reason(amount_minor: int, currency: str, reason: str | None) -> None:
    found = unpayable(amount_minor, currency)
    assert found is None if reason is None else found is not None and reason in found


@settings(deadline=None, database=None)
@given(st.integers(min_value=-10, max_value=10**12), st.sampled_from(["USD", "JPY", "ISK", "UGX", "MGA", "KWD", "CLF"]))
def test_an_amount_that_can_be_sent_comes_back_as_it_was(amount_minor: int, currency: str) -> None:
    if unpayable(amount_minor, currency) is None:
        sent = to_stripe(amount_minor, currency)
        assert 1 <= sent <= 99_999_999
        assert from_stripe(sent, currency) == amount_minor
