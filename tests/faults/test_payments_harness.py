"""The common check of money finds the bug of a worker that has one, and nothing where there is none."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from faults.broken_payments import BUGS
from faults.money import rest
from mercato.v1 import order_pb2
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.store.order_states import cancel_overdue
from support.patience import until
from support.shop import refusal
from support.stripe_double.double import StripeDouble
from support.stripe_double.faults import LOST_ANSWER, Fault, refused
from support.till import Till, opened

CREATE, CANCEL, REFUND = "payment_intents.create", "payment_intents.cancel", "refunds.create"
SAMPLES = 50
POOL = 2


async def paid(till: Till) -> order_pb2.Order:
    """Place an order and pay it."""
    order = await till.order()
    till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    await till.notify("payment_intent.succeeded")
    return await till.becomes(order, order_pb2.ORDER_STATUS_PAID)


async def lose_answers(till: Till) -> list[str]:
    """Lose the answers to the creation of a payment and to a refund."""
    order = await paid(till)
    till.double.faults.add(CREATE, LOST_ANSWER)
    till.double.faults.add(REFUND, LOST_ANSWER)
    await refusal(till.pay(await till.order()))
    await till.refund(order, 300)
    return []


async def race_for_refunds(till: Till) -> list[str]:
    """Ask for more refunds than there is money, while the provider works on all of them."""
    order, answer = await paid(till), asyncio.Event()
    till.double.faults.add(REFUND, *[Fault(before=answer) for _ in range(8)])
    asking = [asyncio.ensure_future(till.refund(order, 300)) for _ in range(8)]
    await until(lambda: sum(each.done() for each in asking) + till.double.running[REFUND] >= len(asking))
    answer.set()
    await asyncio.gather(*asking, return_exceptions=True)
    return []


async def forge(till: Till) -> list[str]:
    """Deliver a notice that is signed, and not true: by a leaked secret, or of an older state."""
    await till.pay(await till.order())
    [event] = till.double.events.of_kind("payment_intent.created")
    thing = event["data"]["object"]
    said = {**thing, "status": "succeeded", "amount_received": thing["amount"], "latest_charge": "ch_forged"}
    notice = {**event, "id": "evt_forged", "type": "payment_intent.succeeded", "data": {"object": said}}
    await till.deliver(json.dumps(notice).encode())
    return []


async def expire_a_paid_order(till: Till) -> list[str]:
    """Let the time to pay end after a payment whose notice is lost."""
    order = await till.order()
    till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    await till.is_overdue(order)
    await cancel_overdue(till.pool, 100)
    return []


async def pay_with_notice(till: Till) -> list[str]:
    """Pay, and deliver the notice."""
    till.double.acts.pay((await till.pay(await till.order())).payment.provider_ref)
    await till.notify("payment_intent.succeeded")
    return []


async def pay_and_cancel(till: Till) -> list[str]:
    """Cancel an order before its money is known."""
    order = await till.order()
    till.double.acts.pay((await till.pay(order)).payment.provider_ref)
    await till.shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=order.id), metadata=till.buyer.metadata)
    return []


async def authorise_late(till: Till) -> list[str]:
    """Authorise a payment while its cancellation waits; return a finding if the shop has cancelled a good authorisation."""
    order = await till.order()
    ref = (await till.pay(order)).payment.provider_ref
    till.double.faults.add(CANCEL, refused(503), refused(503))
    await till.is_overdue(order)
    await till.read_soon()
    await until(lambda: any(call.operation == CANCEL for call in till.double.calls), "the worker asks to cancel")
    till.double.acts.pay(ref)
    await rest(till)
    return ["an authorisation was cancelled"] if till.double.account.intents[ref].status == "canceled" else []


async def ask_slowly(till: Till) -> list[str]:
    """Open payments at a provider that does not answer; return a finding if connections are held meanwhile."""
    orders, answer = [await till.order() for _ in range(2 * POOL)], asyncio.Event()
    till.double.faults.add(CREATE, *[Fault(before=answer) for _ in orders])
    opening = [asyncio.ensure_future(till.pay(order)) for order in orders]
    await until(lambda: till.double.running[CREATE] >= POOL)
    pool, busy = till.worker.parts.pool, list[int]()
    for _ in range(SAMPLES):
        busy.append(pool.get_size() - pool.get_idle_size())
        await asyncio.sleep(0.01)
    answer.set()
    await asyncio.gather(*opening)
    return ["connections are held"] if min(busy) else []


@dataclass(frozen=True)
class Case:
    """A bug, the scenario that reveals it, and parts of the findings."""

    bug: str
    scenario: Callable[[Till], Awaitable[list[str]]]
    findings: tuple[str, ...]
    capture_later: bool = False


UNREAD = "a notice is answered before it is stored, and nothing is read without one"
CASES = (
    Case("each try of a request has a key of its own", lose_answers, ("has 2 intents", "was made 2 times")),
    Case("a refund reserves nothing", race_for_refunds, ("were promised",)),
    Case("the content of a notice is believed", forge, ("is paid, and 0 of",)),
    Case("an order expires without a question to the provider", expire_a_paid_order, ("expired, and was paid",)),
    Case(UNREAD, pay_with_notice, ("is PLACED, and 1000 were charged",)),
    Case("money for a cancelled order is kept", pay_and_cancel, ("is CANCELLED, and 1000 were kept",)),
    Case(
        "a cancellation does not look whether the buyer has paid", authorise_late, ("an authorisation was cancelled",), capture_later=True
    ),
    Case("a connection is held while the provider is asked", ask_slowly, ("connections are held",)),
)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.bug.replace(" ", "-"))


async def play(case: Case, settings: Settings, pool: "Pool", double: StripeDouble) -> list[str]:
    """Return the findings of a scenario."""
    async with opened(replace(settings, pool_size=POOL), pool, double, capture_later=case.capture_later) as till:
        return await case.scenario(till) + await rest(till)


@each_case
async def test_the_common_check_of_money_finds_the_bug(
    settings: Settings, pool: "Pool", double: StripeDouble, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    BUGS[case.bug](monkeypatch)
    findings = await play(case, settings, pool, double)
    assert all(any(wanted in finding for finding in findings) for wanted in case.findings), findings


@each_case
async def test_the_common_check_of_money_finds_nothing_where_there_is_no_bug(
    settings: Settings, pool: "Pool", double: StripeDouble, case: Case
) -> None:
    assert await play(case, settings, pool, double) == []


def test_every_bug_of_payments_has_its_case() -> None:
    assert {case.bug for case in CASES} == set(BUGS)
