"""A shop that was set back, at the double of Stripe: payments are off until each charge that it has forgotten is settled."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest
from grpc import StatusCode

from mercato.v1 import order_pb2, payment_pb2, user_pb2
from mercato_server.cli import reconciliation
from mercato_server.cli.reconcile import CLEAN, DISCREPANCIES, INCOMPLETE, WINDOW
from mercato_server.cli.reconciliation import Options, Settles
from mercato_server.config.payment_settings import PaymentSettings
from mercato_server.embedded.postgres import Postgres
from mercato_server.store import restores
from mercato_server.store.order_states import cancel_overdue
from mercato_server.store.restores import Pause
from support.patience import until
from support.restored_shops import PastShop, connected, past_shop
from support.runbooks import of, replaced, sh
from support.shop import Person, Shop, open_worker, refusal, settings_of
from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY, StripeDouble
from support.stripe_double.faults import LOST_ANSWER
from support.stripe_shop import settings_of as stripe_settings
from support.till import Till, with_payments

CHANGES = ("payment_intents.create", "payment_intents.cancel", "payment_intents.capture", "refunds.create")
PAID, REFUNDED = order_pb2.ORDER_STATUS_PAID, order_pb2.ORDER_STATUS_REFUNDED


@asynccontextmanager
async def till_at(url: str, double: StripeDouble, before: Till | None = None) -> AsyncIterator[Till]:
    """Run a worker on a database, with new people, or with those of an earlier till, who log in again."""
    async with connected(url) as pool, open_worker(with_payments(settings_of(url), double), pool) as (worker, shop):
        till = Till(worker, shop, double, pool)
        if before is None:
            await till.open()
        else:
            till.product = before.product
            till.admin, till.buyer = await again(shop, before.admin), await again(shop, before.buyer)
        yield till


async def again(shop: Shop, person: Person) -> Person:
    return await shop._in_session(UUID(person.id), person.email)


def changes(double: StripeDouble) -> list[str]:
    """Return the requests to the double that ask for a change."""
    return [call.operation for call in double.calls if call.operation in CHANGES]


async def paid(till: Till, quantity: int = 1) -> order_pb2.Order:
    """Place an order and pay it by card; the shop hears of it."""
    order = await till.order(quantity)
    till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    await till.notify("payment_intent.succeeded")
    return await till.becomes(order, PAID)


@dataclass(frozen=True, kw_only=True)
class Story:
    """A shop that was set back, and what it has forgotten."""

    past: PastShop
    before: Till
    """The people and the product of the time before the backup."""
    open_order: order_pb2.Order
    """Placed before the backup and paid after it."""
    refunded: order_pb2.Order
    """Paid before the backup and refunded after it."""
    forgotten: payment_pb2.Payment
    """Of an order that was placed and paid after the backup."""
    unpaid: payment_pb2.Payment
    """Of another such order, whose buyer has not paid yet."""


@pytest.fixture
async def story(postgres: Postgres, double: StripeDouble) -> AsyncIterator[Story]:
    async with past_shop(postgres) as past:
        async with till_at(past.url, double) as before:
            open_order, refunded = await before.order(1), await paid(before, 2)
            open_payment = (await before.pay(open_order)).payment
        await past.copy()
        async with till_at(past.url, double, before) as lost:
            double.acts.pay(open_payment.provider_ref)
            await lost.refund(refunded)
            await lost.becomes(refunded, REFUNDED)
            forgotten = (await lost.payments(await paid(lost, 3)))[0]
            unpaid = (await lost.pay(await lost.order(4))).payment
        await past.mark()
        yield Story(past=past, before=before, open_order=open_order, refunded=refunded, forgotten=forgotten, unpaid=unpaid)


Reconcile = Callable[..., Awaitable[tuple[int, list[dict[str, Any]], str]]]


@pytest.fixture
def reconcile(story: Story, double: StripeDouble, capsys: pytest.CaptureFixture[str]) -> Reconcile:
    """Run the work of the command on the restored shop, without a grace; return its exit code, its objects, and its errors."""

    async def run(accept: Sequence[str] = (), refund: Sequence[str] = (), reason: str = "") -> tuple[int, list[dict[str, Any]], str]:
        capsys.readouterr()
        options = Options(
            since=None,
            until=None,
            window=WINDOW,
            interval_s=None,
            grace=timedelta(0),
            as_json=True,
            settles=Settles(accept, refund, reason),
        )
        payments = PaymentSettings(stripe=stripe_settings(double.url))
        code = await reconciliation.reconcile(story.past.restored, payments, "USD", options)
        out, err = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines() if line.startswith('{"type"')], err

    return run


async def test_payments_are_off_until_each_forgotten_charge_is_settled(story: Story, double: StripeDouble, reconcile: Reconcile) -> None:
    url = story.past.restored
    async with till_at(url, double, story.before) as till, till_at(url, double, till) as other:
        sent = changes(double)
        order = await till.order()
        for worker in (till, other):
            error = await refusal(worker.pay(order))
            assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "PAYMENTS_PAUSED")
        code, [*found, summary], err = await reconcile()
        ids = {each["provider_ref"]: each["id"] for each in found}
        assert (code, summary["payments_paused"]) == (DISCREPANCIES, True)
        assert {each["kind"] for each in found} == {"missing_in_shop"}
        assert ids.keys() == {story.forgotten.provider_ref, story.unpaid.provider_ref}
        assert "payments stay off: settle each difference with --refund ID" in err
        assert ((await till.get(story.open_order)).status, (await till.get(story.refunded)).status) == (PAID, REFUNDED)
        assert (await refusal(other.pay(order))).reason == "PAYMENTS_PAUSED"
        assert changes(double) == sent

        code, [*found, summary], _ = await reconcile(refund=list(ids.values()))
        assert (code, found, summary["payments_paused"]) == (CLEAN, [], False)
        assert [each.amount for each in double.account.refunds.values()] == [2_000, 3_000]
        assert double.account.intents[story.unpaid.provider_ref].status == "canceled"  # its buyer cannot pay any more
        for worker in (till, other):
            assert (await worker.pay(order)).payment.provider_ref
        await till.verify()
        actions = [row["action"] for row in await till.pool.fetch("SELECT action FROM audit_log ORDER BY id") if "payment" in row["action"]]
        assert actions == ["payment_difference.refunded", "payment_difference.refunded", "payments.resumed"]


async def test_an_accepted_difference_is_another_one_once_its_money_has_come(
    story: Story, double: StripeDouble, reconcile: Reconcile
) -> None:
    _, [*found, _], _ = await reconcile()
    code, [summary], _ = await reconcile(accept=[each["id"] for each in found], reason="the buyer has left")
    assert (code, summary["payments_paused"], summary["accepted"], summary["discrepancies"]) == (CLEAN, False, 2, 0)
    double.acts.pay(story.unpaid.provider_ref)
    code, [again, _], _ = await reconcile()
    assert (code, again["provider_ref"]) == (DISCREPANCIES, story.unpaid.provider_ref)
    assert again["id"] not in {each["id"] for each in found}
    code, *_ = await reconcile(refund=[again["id"]])
    assert code == CLEAN
    async with connected(story.past.restored) as pool:
        assert await pool.fetchval("SELECT count(*) FROM accepted_differences WHERE reason = 'the buyer has left'") == 2


async def test_the_commands_of_the_runbooks_settle_what_a_restored_shop_has_forgotten(
    story: Story, double: StripeDouble, reconcile: Reconcile
) -> None:
    compare, settle = (
        replaced(of("Restore", "sh", words).code, **{" --data-dir NEW": ""}) for words in ("reconcile --data-dir NEW\n", "--refund")
    )
    assert compare == of("Payments", "sh").code == "mercato reconcile\n"
    environ = {"MERCATO_STRIPE_SECRET_KEY": SECRET_KEY, "MERCATO_STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY, "MERCATO_STRIPE_URL": double.url}
    printed = await sh(compare, story.past.restored, (INCOMPLETE,), **environ)  # the lost time is younger than the grace of the command
    assert "0 discrepancies, 2 in flight" in printed
    _, [*found, _], _ = await reconcile()
    ids = {each["provider_ref"]: each["id"] for each in found}
    refund, accept = settle.splitlines()
    refund = replaced(refund, **{"0123456789abcdef": ids[story.forgotten.provider_ref]})
    await sh(refund, story.past.restored, (INCOMPLETE,), **environ)
    assert [each.amount for each in double.account.refunds.values()] == [2_000, 3_000]
    accept = replaced(accept, fedcba9876543210=ids[story.unpaid.provider_ref])
    await sh(accept, story.past.restored, (INCOMPLETE,), **environ)
    code, [summary], _ = await reconcile()
    assert (code, summary["accepted"], summary["payments_paused"]) == (CLEAN, 1, False)


async def test_what_does_not_exist_and_what_the_shop_can_refund_itself_is_not_given_back(story: Story, reconcile: Reconcile) -> None:
    code, _, err = await reconcile(refund=["a" * 16])
    assert (code, "there is no difference with the id" in err) == (INCOMPLETE, True)
    async with connected(story.past.restored) as pool:
        await pool.execute("UPDATE payments SET amount_minor = amount_minor + 1")
    _, [*found, _], _ = await reconcile()
    own = next(each for each in found if each["kind"] == "amount_differs")
    code, _, err = await reconcile(refund=[own["id"]])
    assert (code, "the shop has this payment" in err) == (INCOMPLETE, True)


async def test_money_that_would_move_waits_and_notices_are_booked_while_payments_are_off(story: Story, double: StripeDouble) -> None:
    async with till_at(story.past.restored, double, story.before) as till:
        sent = changes(double)
        assert (await refusal(till.refund(story.refunded, 100))).reason == "PAYMENTS_PAUSED"
        await till.notify("payment_intent.succeeded")
        await till.becomes(story.open_order, PAID)
        cancelled = await till.advance(story.open_order, order_pb2.ORDER_STATUS_CANCELLED)
        assert cancelled.status == order_pb2.ORDER_STATUS_CANCELLED
        assert (await till.advance(await till.order(), PAID)).status == PAID  # by hand
        assert changes(double) == sent
        await till.verify()


async def restored(till: Till) -> Pause:
    """Mark the database of a running worker as restored, and log its people in anew."""
    await restores.mark(till.pool, None, takes_payments=True)
    till.admin, till.buyer = await again(till.shop, till.admin), await again(till.shop, till.buyer)

    async def is_known() -> bool:
        with suppress(grpc.aio.AioRpcError):
            return bool(await till.shop.users.GetMe(user_pb2.GetMeRequest(), metadata=till.buyer.metadata))
        return False

    await until(is_known, "the worker has the new keys")
    pause = await restores.pause(till.pool)
    assert pause is not None
    return pause


async def test_no_order_ends_while_payments_are_off_and_each_can_be_paid_for_an_hour_afterwards(till: Till) -> None:
    pause = await restored(till)
    order = await till.order()
    await till.pool.execute("UPDATE orders SET payment_due_at = now() - interval '2 hours'")
    assert await cancel_overdue(till.pool, 10) == 0
    await till.verify()
    assert await restores.resume(till.pool, pause)
    assert not await restores.resume(till.pool, pause)
    assert await till.pool.fetchval("SELECT payment_due_at > now() + interval '59 minutes' FROM orders")
    assert (await till.pay(order)).payment.provider_ref


@pytest.mark.parametrize("has_effect", [True, False])
async def test_a_request_that_was_open_at_the_backup_is_looked_up_before_it_is_sent_again(till: Till, *, has_effect: bool) -> None:
    order = await till.order()
    if has_effect:
        till.double.faults.add("payment_intents.create", *[LOST_ANSWER] * 50)  # for the repetitions of the worker too
    else:
        await till.double.go_down()
    assert (await refusal(till.pay(order))).reason == "PAYMENT_PROVIDER_UNAVAILABLE"
    pause = await restored(till)
    sent = changes(till.double)
    if not has_effect:
        await till.double.start()

    async def is_looked_up() -> bool:
        return bool(await till.pool.fetchval("SELECT outcome = 'succeeded' OR code = 'paused' FROM provider_requests"))

    await until(is_looked_up, "a worker looks for its effect")
    assert changes(till.double) == sent
    assert len(till.double.account.intents) == has_effect
    await restores.resume(till.pool, pause)
    linked = "SELECT provider_ref IS NOT NULL FROM payments"
    await until(lambda: till.pool.fetchval(linked), "the payment is known")
    assert len(till.double.account.intents) == 1
