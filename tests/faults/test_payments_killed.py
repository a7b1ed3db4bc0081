"""Workers, and the database, die between the record of a request, the request, its answer and the booking of it: one charge, one refund."""

import asyncio
from pathlib import Path

import pytest

from faults.buyers import Goods, dice, market
from faults.conftest import Conclude, Scale
from faults.money import Auditor
from faults.payers import Payers, paying_worker, receive
from faults.processes import Edge, crash, running
from faults.test_database_killed import healed
from mercato_server.embedded.postgres import Postgres
from mercato_server.failpoints import PAYMENT_PLACES
from support.patience import until
from support.stripe_double.double import StripeDouble
from support.stripe_double.faults import Fault

PLACES = {False: (*PAYMENT_PLACES, "before commit"), True: ("payments: sending", "payments: answered", "after commit")}
"""Places to die at, by whether payments are captured later; the soak has all of them in both cases."""
ALL_PLACES = (*PAYMENT_PLACES, "before commit", "after commit")
CHANCE = 0.1
"""Probability of dying at the armed place, each time that a worker reaches it."""
CHECKED_S = 0.2
LIFE_S = (0.5, 1.5)
CHANGES = ("payment_intents.create", "refunds.create")


@pytest.fixture
def audit(conclude: Conclude) -> Auditor:
    return Auditor(conclude)


@pytest.mark.parametrize("capture_later", [False, True], ids=["captured at once", "captured later"])
async def test_a_worker_that_dies_between_its_records_and_the_provider_charges_and_refunds_once(
    directory: Path, goods: Goods, double: StripeDouble, scale: Scale, audit: Auditor, *, capture_later: bool
) -> None:
    worker = paying_worker(directory, goods.database_url, double, capture_later=capture_later)
    places = [*PLACES[capture_later], *(ALL_PLACES * scale(0, 20))]
    async with running(worker), Edge(directory, [worker], CHECKED_S) as edge, market(goods, worker.address) as shop:
        receive(double, edge)
        payers = await Payers.of(shop, double)
        async with payers.crowd():
            await worker.kill()
            for place in places:
                await worker.restart(MERCATO_TEST_FAILPOINTS=f"{place}={CHANCE}")
                assert await worker.wait() < 0
            await worker.restart()
        await audit.settle(payers)
    worker.require_no_bugs_logged()
    later = ", captured later" if capture_later else ""
    await audit(f"worker dies between outbox and answer{later}", payers, deaths=len(places), places=len(set(places)))
    assert any(intent.amount_received for intent in double.account.intents.values())
    assert double.account.refunds


async def test_a_database_that_dies_between_an_answer_and_its_booking_loses_no_money(
    directory: Path, durable_postgres: Postgres, durable_goods: Goods, double: StripeDouble, scale: Scale, audit: Auditor
) -> None:
    """The provider has created a payment, or made a refund; PostgreSQL is down when its answer comes."""
    worker = paying_worker(directory, durable_goods.database_url, double)
    cycles = scale(2, 25)
    async with running(worker), Edge(directory, [worker], CHECKED_S) as edge, market(durable_goods, worker.address) as shop:
        receive(double, edge)
        payers = await Payers.of(shop, double)
        async with payers.crowd():
            for _ in range(cycles):
                await asyncio.sleep(dice.uniform(*LIFE_S))
                answers = [asyncio.Event() for _ in CHANGES]
                for operation, answer in zip(CHANGES, answers, strict=True):
                    double.faults.add(operation, Fault(after=answer))
                await until(lambda: not double.faults.left(), "the provider has executed both requests")
                await crash(durable_postgres)
                for answer in answers:
                    answer.set()
                await durable_postgres.start()
                await healed(shop)
        await audit.settle(payers)
    worker.require_no_bugs_logged()
    await audit("database dies between answer and booking", payers, kills=cycles)
