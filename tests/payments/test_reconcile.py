"""The comparison of the provider with the shop, at the double of Stripe: a shop that agrees, and every planted discrepancy by its name."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from mercato.v1 import order_pb2, payment_pb2
from mercato_server.domain.reconciliation import Discrepancy, Kind
from mercato_server.payments.reconciliation import Patience, Tally, reconcile
from support.patience import until
from support.stripe_shop import provider_at
from support.till import Till

NO_PATIENCE = Patience(grace=timedelta(0), pause_s=0)


@dataclass
class Stage:
    """A shop with an open payment, one that is captured and partly refunded, and one that is captured and disputed."""

    till: Till
    open: payment_pb2.Payment
    paid: payment_pb2.Payment
    disputed: payment_pb2.Payment
    dispute: str

    async def sql(self, statement: str, *values: object) -> None:
        """Change the shop's tables behind its back."""
        await self.till.pool.execute(statement, *values)


@pytest.fixture
async def stage(till: Till) -> Stage:
    unpaid = (await till.pay(await till.order(1))).payment
    refunded, disputed = await till.order(2), await till.order(3)
    payments = []
    for order in (refunded, disputed):
        payments.append((await till.pay(order)).payment)
        till.double.acts.pay(payments[-1].provider_ref)
    await till.notify("payment_intent.succeeded")
    for order in (refunded, disputed):
        await till.becomes(order, order_pb2.ORDER_STATUS_PAID)
    await till.refund(refunded, 500)
    dispute = till.double.acts.dispute(payments[1].provider_ref, amount=700)
    await till.notify("charge.dispute.created")
    await until(lambda: till.pool.fetchval("SELECT count(*) = 1 FROM disputes WHERE withdrawn_minor = 700"), "the dispute is booked")
    return Stage(till, unpaid, payments[0], payments[1], dispute)


async def compare(till: Till, patience: Patience = NO_PATIENCE) -> tuple[list[Discrepancy], Tally]:
    found: list[Discrepancy] = []
    now = datetime.now(UTC)
    async with provider_at(till.double.url) as provider:
        tally = await reconcile(till.pool, provider, now - timedelta(days=30), now, found.append, patience)
    assert tally.discrepancies == len(found)
    return found, tally


async def test_a_shop_that_agrees_is_clean_and_payments_of_other_programs_are_only_counted(stage: Stage) -> None:
    till = stage.till
    for _ in range(2):
        till.double.account.create(500, "usd", "automatic", metadata={"order": "of another program"})
    found, tally = await compare(till)
    assert found == []
    assert (tally.payments, tally.refunds, tally.disputes, tally.not_ours, tally.in_flight) == (3, 1, 1, 2, 0)


# Plants: each changes one thing at one side, and names the payment that must be told, with its values.

Plant = Callable[[Stage], Awaitable[tuple[str, str, str]]]
OPEN = "pending, captured 0 of 1000 USD"


async def missing_in_shop(stage: Stage) -> tuple[str, str, str]:
    made = stage.till.double.account.create(500, "usd", "automatic", metadata={"payment_id": str(uuid4())})
    return made.id, "", "open, captured 0 of 500 USD"


async def missing_at_provider(stage: Stage) -> tuple[str, str, str]:
    del stage.till.double.account.intents[stage.open.provider_ref]
    return stage.open.provider_ref, OPEN, ""


async def unlinked(stage: Stage) -> tuple[str, str, str]:
    await stage.sql(
        "UPDATE payments SET provider_ref = NULL, next_read_at = NULL, created_at = now() - interval '2 hours' WHERE id = $1",
        UUID(stage.open.id),
    )
    return stage.open.provider_ref, OPEN, "open, captured 0 of 1000 USD"


async def second_intent(stage: Stage) -> tuple[str, str, str]:
    made = stage.till.double.account.create(1_000, "usd", "automatic", metadata={"payment_id": stage.open.id})
    return made.id, stage.open.provider_ref, made.id


async def lost_metadata(stage: Stage) -> tuple[str, str, str]:
    stage.till.double.account.intents[stage.open.provider_ref].metadata.clear()
    return stage.open.provider_ref, stage.open.id, ""


async def another_amount(stage: Stage) -> tuple[str, str, str]:
    await stage.sql("UPDATE payments SET amount_minor = amount_minor + 1 WHERE id = $1", UUID(stage.open.id))
    return stage.open.provider_ref, "1001 USD", "1000 USD"


async def another_currency(stage: Stage) -> tuple[str, str, str]:
    stage.till.double.account.intents[stage.open.provider_ref].currency = "eur"
    return stage.open.provider_ref, "1000 USD", "1000 EUR"


async def less_captured(stage: Stage) -> tuple[str, str, str]:
    await stage.sql("UPDATE payments SET captured_minor = captured_minor - 1 WHERE id = $1", UUID(stage.paid.id))
    return stage.paid.provider_ref, "1999 USD", "2000 USD"


async def captured_there(stage: Stage) -> tuple[str, str, str]:
    stage.till.double.acts.pay(stage.open.provider_ref)
    return stage.open.provider_ref, OPEN, "captured, captured 1000 of 1000 USD"


async def dead_there(stage: Stage) -> tuple[str, str, str]:
    account = stage.till.double.account
    account.cancel(account.intents[stage.open.provider_ref])
    return stage.open.provider_ref, OPEN, "dead, captured 0 of 1000 USD"


async def dead_here(stage: Stage) -> tuple[str, str, str]:
    await stage.sql("UPDATE payments SET state = 'cancelled' WHERE id = $1", UUID(stage.open.id))
    return stage.open.provider_ref, "cancelled, captured 0 of 1000 USD", "open, captured 0 of 1000 USD"


async def refund_unknown_here(stage: Stage) -> tuple[str, str, str]:
    stage.till.double.acts.refund(stage.paid.provider_ref, 300)
    return stage.paid.provider_ref, "", "succeeded 300"


INSERT_REFUND = """
INSERT INTO refunds (payment_id, order_id, state, amount_minor, currency_code, provider_ref, is_own, reason, actor_kind)
SELECT id, order_id, 'succeeded', 1, 'USD', 're_none', true, '', 'system' FROM payments WHERE id = $1
"""


async def refund_missing_there(stage: Stage) -> tuple[str, str, str]:
    await stage.sql(INSERT_REFUND, UUID(stage.paid.id))
    return stage.paid.provider_ref, "succeeded 1", ""


async def another_refund_amount(stage: Stage) -> tuple[str, str, str]:
    await stage.sql("UPDATE refunds SET amount_minor = 499")
    return stage.paid.provider_ref, "499", "500"


async def refund_failed_there(stage: Stage) -> tuple[str, str, str]:
    [refund] = stage.till.double.account.refunds
    stage.till.double.acts.fail_refund(refund)
    return stage.paid.provider_ref, "succeeded", "failed"


async def dispute_unknown_here(stage: Stage) -> tuple[str, str, str]:
    stage.till.double.acts.dispute(stage.paid.provider_ref, amount=900)
    return stage.paid.provider_ref, "", "open 900"


INSERT_DISPUTE = """
INSERT INTO disputes (payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason)
SELECT id, order_id, 'du_none', 'open', 5, 5, 'USD', '' FROM payments WHERE id = $1
"""


async def dispute_missing_there(stage: Stage) -> tuple[str, str, str]:
    await stage.sql(INSERT_DISPUTE, UUID(stage.paid.id))
    return stage.paid.provider_ref, "open 5", ""


async def dispute_lost_there(stage: Stage) -> tuple[str, str, str]:
    stage.till.double.acts.advance_dispute(stage.dispute, "under_review")
    stage.till.double.acts.advance_dispute(stage.dispute, "lost")
    return stage.disputed.provider_ref, "open", "lost"


async def another_dispute_amount(stage: Stage) -> tuple[str, str, str]:
    await stage.sql("UPDATE disputes SET withdrawn_minor = 600")
    return stage.disputed.provider_ref, "700 withdrawn 600", "700 withdrawn 700"


async def cancelled_with_money(stage: Stage) -> tuple[str, str, str]:
    await stage.sql("UPDATE orders SET status = 'cancelled' WHERE id = (SELECT order_id FROM payments WHERE id = $1)", UUID(stage.paid.id))
    return "", f"cancelled, kept 1500 USD of {stage.paid.id}", ""


INSERT_SECOND = """
INSERT INTO payments (id, order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor, captured_minor)
SELECT $2, order_id, 'manual', 'other', $2::text, 'cancelled', false, 'USD', amount_minor, amount_minor FROM payments WHERE id = $1
"""


async def paid_twice(stage: Stage) -> tuple[str, str, str]:
    second = await stage.till.pool.fetchval("SELECT uuidv7()")
    await stage.sql(INSERT_SECOND.replace("$2::text", f"'{second}'"), UUID(stage.paid.id), second)
    return "", f"paid, kept 3500 USD of {stage.paid.id}, {second}", ""


INSERT_REQUEST = """
INSERT INTO provider_requests (provider, kind, payment_id, amount_minor, next_at, created_at)
VALUES ('stripe', 'cancel', $1, 1000, now() + interval '1 day', now() - $2::interval)
RETURNING id
"""
INSERT_NOTICE = """
INSERT INTO provider_events (provider, event_id, kind, provider_ref, happened_at, received_at, next_at)
VALUES ('stripe', 'evt_waiting', 'payment_intent.succeeded', $1, now(), now() - $2::interval, now() + interval '1 day')
"""
SHORT, LONG = timedelta(minutes=50), timedelta(hours=2)


async def open_request(stage: Stage) -> tuple[str, str, str]:
    request = await stage.till.pool.fetchval(INSERT_REQUEST, UUID(stage.open.id), LONG)
    return stage.open.provider_ref, f"cancel request {request} since ", ""


async def open_notice(stage: Stage) -> tuple[str, str, str]:
    await stage.sql(INSERT_NOTICE, stage.open.provider_ref, LONG)
    return stage.open.provider_ref, "notice evt_waiting since ", ""


PLANTS: list[tuple[Plant, Kind]] = [
    (missing_in_shop, Kind.MISSING_IN_SHOP),
    (missing_at_provider, Kind.MISSING_AT_PROVIDER),
    (unlinked, Kind.UNLINKED),
    (second_intent, Kind.REFERENCE_DIFFERS),
    (lost_metadata, Kind.REFERENCE_DIFFERS),
    (another_amount, Kind.AMOUNT_DIFFERS),
    (another_currency, Kind.AMOUNT_DIFFERS),
    (less_captured, Kind.CAPTURED_DIFFERS),
    (captured_there, Kind.STATE_DIFFERS),
    (dead_there, Kind.STATE_DIFFERS),
    (dead_here, Kind.STATE_DIFFERS),
    (refund_unknown_here, Kind.REFUND_MISSING_IN_SHOP),
    (refund_missing_there, Kind.REFUND_MISSING_AT_PROVIDER),
    (another_refund_amount, Kind.REFUND_AMOUNT_DIFFERS),
    (refund_failed_there, Kind.REFUND_STATE_DIFFERS),
    (dispute_unknown_here, Kind.DISPUTE_MISSING_IN_SHOP),
    (dispute_missing_there, Kind.DISPUTE_MISSING_AT_PROVIDER),
    (dispute_lost_there, Kind.DISPUTE_STATE_DIFFERS),
    (another_dispute_amount, Kind.DISPUTE_AMOUNT_DIFFERS),
    (cancelled_with_money, Kind.CANCELLED_KEEPS_MONEY),
    (paid_twice, Kind.PAID_TWICE),
    (open_request, Kind.UNSETTLED),
    (open_notice, Kind.UNSETTLED),
]


@pytest.mark.parametrize(("plant", "kind"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
async def test_a_planted_discrepancy_is_found_and_named(stage: Stage, plant: Plant, kind: Kind) -> None:
    ref, shop, provider = await plant(stage)
    found, tally = await compare(stage.till)
    assert [each.difference.kind for each in found] == [kind], found
    [told] = found
    assert (told.provider_ref, told.difference.provider) == (ref, provider)
    assert told.difference.shop == shop or (kind is Kind.UNSETTLED and told.difference.shop.startswith(shop))
    assert told.order_id is not None or kind is Kind.MISSING_IN_SHOP
    assert tally.in_flight == 0


def test_every_kind_has_a_plant() -> None:
    assert {kind for _, kind in PLANTS} == set(Kind)


async def test_discrepancies_of_all_sorts_are_found_together(stage: Stage) -> None:
    planted = (missing_in_shop, captured_there, less_captured, refund_failed_there, refund_missing_there, dispute_lost_there, paid_twice)
    for plant in planted:
        await plant(stage)
    found, _ = await compare(stage.till)
    kinds = dict(PLANTS)
    assert sorted(each.difference.kind for each in found) == sorted(kinds[plant] for plant in planted)


FRESH: list[Plant] = [missing_in_shop, missing_at_provider, captured_there, refund_unknown_here, refund_missing_there, dispute_unknown_here]


@pytest.mark.parametrize("plant", FRESH, ids=[plant.__name__ for plant in FRESH])
async def test_what_is_younger_than_the_grace_is_in_flight(stage: Stage, plant: Plant) -> None:
    await plant(stage)
    found, tally = await compare(stage.till, Patience(pause_s=0))
    assert (found, tally.in_flight) == ([], 1)


async def test_a_payment_that_the_shop_works_on_is_in_flight_for_an_hour(stage: Stage) -> None:
    await dead_there(stage)
    await stage.sql(INSERT_NOTICE, stage.open.provider_ref, SHORT)
    found, tally = await compare(stage.till)
    assert (found, tally.in_flight) == ([], 1)
    await stage.sql("DELETE FROM provider_events WHERE event_id = 'evt_waiting'")
    await stage.sql(INSERT_REQUEST, UUID(stage.open.id), SHORT)
    found, tally = await compare(stage.till)
    assert (found, tally.in_flight) == ([], 1)
    await stage.sql("UPDATE provider_requests SET created_at = now() - interval '2 hours' WHERE outcome IS NULL")
    found, _ = await compare(stage.till)
    assert [each.difference.kind for each in found] == [Kind.STATE_DIFFERS, Kind.UNSETTLED]


async def test_a_payment_without_a_reference_is_in_flight_for_an_hour(stage: Stage) -> None:
    await unlinked(stage)
    await stage.sql("UPDATE payments SET created_at = now() - interval '50 minutes' WHERE id = $1", UUID(stage.open.id))
    found, tally = await compare(stage.till)
    assert (found, tally.in_flight) == ([], 1)


async def test_a_disagreement_that_ends_during_the_comparison_is_none(stage: Stage) -> None:
    till = stage.till
    till.double.acts.pay(stage.open.provider_ref)

    async def told() -> bool:
        await till.notify("payment_intent.succeeded")
        return bool(await till.pool.fetchval("SELECT state = 'captured' FROM payments WHERE id = $1", UUID(stage.open.id)))

    found: list[Discrepancy] = []
    now = datetime.now(UTC)
    async with provider_at(till.double.url) as provider:
        read = provider.read

        async def read_and_tell(ref: str) -> object:  # the notice comes after the first read, and before the shop is read
            fact = await read(ref)
            await until(told, "the payment is booked")
            return fact

        provider.read = read_and_tell  # type: ignore[method-assign, assignment] # the real one, and then the notice
        tally = await reconcile(till.pool, provider, now - timedelta(days=30), now, found.append, NO_PATIENCE)
    assert (found, tally.in_flight) == ([], 0)


async def test_more_than_a_page_is_compared_and_what_is_missing_is_named_once(till: Till) -> None:
    account, missing = till.double.account, set()
    for number in range(350):
        metadata = {"payment_id": str(uuid4())} if number % 3 == 0 else {}
        made = account.create(500, "usd", "automatic", metadata=metadata)
        missing |= {made.id} if metadata else set()
    found, tally = await compare(till)
    assert sorted(each.provider_ref for each in found) == sorted(missing)
    assert (tally.payments, tally.not_ours) == (117, 233)


async def test_a_second_intent_that_is_dead_is_no_discrepancy(stage: Stage) -> None:
    account = stage.till.double.account
    account.cancel(account.create(1_000, "usd", "automatic", metadata={"payment_id": stage.open.id}))
    assert (await compare(stage.till))[0] == []
