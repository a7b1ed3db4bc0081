"""Facts from objects that the double does not make: unknown words, balances in another currency, payments that Stripe ended itself."""

from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from mercato_server.domain.provider_facts import DisputeState, ProviderRefundState, ProviderState
from mercato_server.payments.stripe_facts import DISPUTE_STATES, Facts, UnusableObjectError

INTENT: dict[str, Any] = {
    "id": "pi_1",
    "amount": 1_000,
    "amount_capturable": 0,
    "amount_received": 0,
    "created": 1_700_000_000,
    "currency": "usd",
    "status": "requires_payment_method",
}
DISPUTE: dict[str, Any] = {"id": "du_1", "amount": 1_000, "currency": "usd", "status": "lost", "balance_transactions": []}
CHARGE: dict[str, Any] = {"id": "ch_1", "status": "succeeded", "captured": False}


def moves(*amounts: int, currency: str = "usd") -> list[dict[str, Any]]:
    return [{"amount": each, "currency": currency, "fee": 1_500, "net": each - 1_500} for each in amounts]


def test_an_unknown_word_is_never_an_end_and_is_logged_once() -> None:
    facts = Facts()
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            assert facts.payment(INTENT | {"status": "requires_magic"}).state is ProviderState.PROCESSING
            assert (
                facts.refund({"id": "re_1", "amount": 1, "currency": "usd", "status": "requires_magic"}).state
                is ProviderRefundState.PENDING
            )
            assert facts.dispute(DISPUTE | {"status": "requires_magic"}, "USD", 1_000).state is DisputeState.OPEN
    assert [(line["object"], line["status"]) for line in logged] == [
        ("payment_intent", "requires_magic"),
        ("refund", "requires_magic"),
        ("dispute", "requires_magic"),
    ]


def test_the_log_about_unknown_words_is_bounded() -> None:
    facts = Facts()
    with structlog.testing.capture_logs() as logged:
        for number in range(1_000):
            facts.payment(INTENT | {"status": f"state_{number}"})
    assert len(logged) == 100


def test_a_fact_tells_when_its_object_was_made_and_when_the_money_moved() -> None:
    facts = Facts()
    paid = INTENT | {"status": "succeeded", "latest_charge": CHARGE | {"created": 1_700_000_060}}
    dead = INTENT | {"status": "canceled", "canceled_at": 1_700_000_120, "latest_charge": CHARGE | {"created": 1_700_000_060}}
    listed = INTENT | {"status": "succeeded", "latest_charge": "ch_1"}
    moved = [facts.payment(each).moved_at for each in (INTENT, listed, paid, dead)]
    assert moved == [None, None, datetime.fromtimestamp(1_700_000_060, UTC), datetime.fromtimestamp(1_700_000_120, UTC)]
    made = datetime.fromtimestamp(1_700_000_000, UTC)
    refund = {"id": "re_1", "amount": 1, "currency": "usd", "status": "pending", "created": 1_700_000_000}
    assert (facts.refund(refund).created_at, facts.dispute(DISPUTE | {"created": 1_700_000_000}, "USD", 1_000).created_at) == (made, made)


def test_a_refund_without_a_status_is_pending() -> None:
    assert Facts().refund({"id": "re_1", "amount": 1, "currency": "usd", "status": None}).state is ProviderRefundState.PENDING


def test_the_states_of_disputes_are_those_of_the_sdk() -> None:
    # stripe-python 16.1.0, `Dispute.status`
    assert set(DISPUTE_STATES) == {
        "appeal_needs_response",
        "appeal_under_review",
        "lost",
        "needs_response",
        "prevented",
        "under_review",
        "warning_closed",
        "warning_needs_response",
        "warning_under_review",
        "won",
    }


@pytest.mark.parametrize(
    ("reason", "charge", "lapsed"),
    [
        ("expired", CHARGE, True),
        ("automatic", CHARGE, True),  # versions of the API before 2025-03-31
        ("expired", "ch_1", True),
        ("expired", None, False),
        ("expired", CHARGE | {"status": "failed"}, False),
        ("abandoned", CHARGE, False),
        ("requested_by_customer", CHARGE, False),
        (None, CHARGE, False),
    ],
)
def test_a_payment_has_lapsed_if_stripe_ended_an_authorisation(reason: str | None, charge: object, lapsed: bool) -> None:  # noqa: FBT001
    fact = Facts().payment(INTENT | {"status": "canceled", "cancellation_reason": reason, "latest_charge": charge})
    assert (fact.state, fact.lapsed) == (ProviderState.DEAD, lapsed)


def test_a_payment_with_money_is_never_dead() -> None:
    fact = Facts().payment(INTENT | {"status": "canceled", "amount_received": 300})
    assert (fact.state, fact.captured_minor) == (ProviderState.CAPTURED, 300)


@pytest.mark.parametrize(
    "details",
    [
        {"type": "card", "card": {"capture_before": 1_700_600_000}},
        {"type": "card_present", "card_present": {"capture_before": 1_700_600_000}},
    ],
)
def test_the_time_of_a_lapse_is_that_of_the_method(details: dict[str, Any]) -> None:
    intent = INTENT | {"status": "requires_capture", "amount_capturable": 1_000}
    fact = Facts().payment(intent | {"latest_charge": CHARGE | {"payment_method_details": details}})
    assert fact.capture_before == datetime(2023, 11, 21, 20, 53, 20, tzinfo=UTC)
    for unknown in ({}, {"type": "link", "link": {}}, {"type": "card", "card": {"capture_before": None}}, None):
        assert Facts().payment(intent | {"latest_charge": CHARGE | {"payment_method_details": unknown}}).capture_before is None


@pytest.mark.parametrize(
    ("amounts", "withdrawn"),
    [
        ((), 0),
        ((-1_000,), 1_000),
        ((-1_000, 1_000), 0),
        ((-1_000, 300), 700),
        ((-600,), 600),
        ((-1_000, 1_000, -1_000), 1_000),
        ((-1, 2), 0),
    ],
)
def test_withdrawn_is_the_net_of_the_balance_transactions_without_fees(amounts: tuple[int, ...], withdrawn: int) -> None:
    fact = Facts().dispute(DISPUTE | {"balance_transactions": moves(*amounts)}, "USD", 1_000)
    assert fact.withdrawn_minor == withdrawn


@pytest.mark.parametrize(("amounts", "withdrawn"), [((-920,), 1_000), ((-920, 920), 0), ((-920, 460), 500), ((-920, 930), 0)])
def test_a_balance_in_another_currency_tells_the_share_that_is_withdrawn(amounts: tuple[int, ...], withdrawn: int) -> None:
    fact = Facts().dispute(DISPUTE | {"balance_transactions": moves(*amounts, currency="eur")}, "USD", 1_000)
    assert (fact.amount_minor, fact.withdrawn_minor) == (1_000, withdrawn)


def test_a_dispute_in_another_currency_is_one_of_the_whole_captured_amount() -> None:
    foreign = DISPUTE | {"currency": "eur", "amount": 920, "balance_transactions": moves(-920, currency="eur")}
    fact = Facts().dispute(foreign, "USD", 800)
    assert (fact.amount_minor, fact.withdrawn_minor) == (800, 800)


def test_an_amount_with_a_fraction_of_a_minor_unit_is_no_fact() -> None:
    with pytest.raises(UnusableObjectError, match="ISK"):
        Facts().payment(INTENT | {"currency": "isk", "amount": 150})
