"""The examples of prices cost what they should over gRPC, over REST and by `mercato verify --deep`: as carts, quotes and orders."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import pytest

from faults.processes import Edge
from mercato_server.cli.verify import check
from mercato_server.database.pool import small_pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.worker import running
from support.databases import copied
from support.price_doors import Door, OverGrpc, OverRest, Refused, price_of, price_of_whole
from support.price_examples import CITED, EXAMPLES
from support.price_examples.model import Price, Sale
from support.price_oracle import Oracle
from support.price_shop import PriceShop, Wanted
from support.rest_client import Client
from support.shop import Shop, settings_of

IN_UNIT_TESTS_ONLY = {
    "the last microsecond of a rate": "the sale would have to take place in a certain microsecond",
    "the moment before a window, as its offset tells": "the sale would have to take place in a certain microsecond",
    "a delivery to DE BY 97070": "a shipping zone has no regions of countries whose addresses name none",
    "a delivery to IE D02": "an address has a whole postal code",
}
"""Examples that no shop can be set up for, and why."""
BOUGHT = [example for example in EXAMPLES if example.name not in IN_UNIT_TESTS_ONLY]
CURRENCIES = tuple(dict.fromkeys(example.sale.currency_code for example in BOUGHT))
HEALTH_INTERVAL_S = 0.2
WAYS = {"gRPC", "REST"}


def test_nearly_all_examples_are_bought() -> None:
    assert IN_UNIT_TESTS_ONLY.keys() <= {example.name for example in EXAMPLES}
    assert len(BOUGHT) == 200
    assert sum(example in BOUGHT for example in CITED) >= 45


@pytest.mark.parametrize("currency", CURRENCIES)
async def test_the_examples_cost_the_same_at_every_door_and_are_confirmed_by_verify(
    postgres: Postgres, tmp_path: Path, currency: str
) -> None:
    examples = [example for example in BOUGHT if example.sale.currency_code == currency]
    wrong, placed = {}, 0
    async with open_market(postgres, tmp_path, currency) as market:
        for example in examples:
            expected = Oracle(example.sale).price()
            found = await market.buy(possible(example.sale))
            if found != dict.fromkeys(found, expected):
                wrong[example.name] = (expected, found)
            placed += sum(what.startswith("order") for what in found)
        findings = await check(market.database_url, deep=True)
        orders = await market.prices.shop.pool.fetchval("SELECT count(*) FROM orders")
    assert wrong == {}
    assert placed == orders == len(WAYS) * sum(not example.price.missing for example in examples)
    assert [finding for finding in findings if finding.violations] == []


def possible(sale: Sale) -> Sale:
    """Return a sale without the tariffs of regions that a shipping zone cannot have; none of these sales goes there."""
    methods = [replace(method, tariffs=tuple(each for each in method.tariffs if not each.areas[0].region)) for method in sale.methods]
    return replace(sale, methods=tuple(methods))


@dataclass(frozen=True)
class Market:
    """A shop of one currency, a worker and an edge."""

    prices: PriceShop
    database_url: str
    rest_port: int
    _buyers: dict[str, dict[str, Door]] = field(default_factory=dict)
    """The buyers who are taxed in some way, by the way of their calls."""

    async def buy(self, sale: Sale) -> dict[str, Price]:
        """Buy a sale over gRPC and over REST; return its prices by where they were told."""
        wanted = await self.prices.adopt(sale)
        doors = self._buyers.pop(sale.treatment, None) or {
            "gRPC": OverGrpc(self.prices.shop, await self.prices.buyer(sale.treatment)),
            "REST": OverRest(Client(self.rest_port, (await self.prices.buyer(sale.treatment)).token)),
        }
        assert doors.keys() == WAYS
        answers = await asyncio.gather(*(buy(door, wanted) for door in doors.values()))
        if all("order" in answer for answer in answers):  # else their carts are not empty
            self._buyers[sale.treatment] = doors
        return {f"{what} over {way}": price for way, answer in zip(doors, answers, strict=True) for what, price in answer.items()}


async def buy(door: Door, wanted: Wanted) -> dict[str, Price]:
    """Ask for a quote of what is wanted, buy it by the quote, and return both prices.

    If quote and checkout are refused, it must be for one reason. Then only the cart has a price, as far as it is known.
    """
    await door.fill(wanted)
    try:
        quote = await door.quote()
    except Refused as refused:
        reason = str(refused)
    else:
        order = await door.checkout(quote.id)
        assert await door.order(order.id) == order
        return {"quote": price_of(quote.price), "order": price_of_whole(order)}
    with pytest.raises(Refused, match=f"^{reason}$"):
        await door.checkout("")
    cart = await door.cart()
    assert cart.missing == reason
    return {"cart": replace(price_of_whole(cart), missing=reason)}


@dataclass(frozen=True)
class Upstream:
    """A worker in this process, as the edge knows it."""

    address: str


@asynccontextmanager
async def open_market(postgres: Postgres, directory: Path, currency: str) -> AsyncIterator[Market]:
    """Run a worker and an edge over a new database with a currency."""
    address = f"unix:{directory}/worker.sock"
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(copied(postgres))
        pool = await stack.enter_async_context(small_pool(url))
        await pool.execute("UPDATE shop SET currency_code = $1", currency)
        await stack.enter_async_context(running(replace(settings_of(url), listen=(address,), currency=currency)))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        edge = await stack.enter_async_context(Edge(directory, [Upstream(address)], HEALTH_INTERVAL_S))
        shop = Shop(channel, pool)
        yield Market(PriceShop(shop, await shop.person(admin=True)), url, edge.port)
