"""Measure the rates of Mercato and the peer with the load generator on a core of its own and all servers on the others: two hosts."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cases
import goods
import peer_stage
import runs
from against_peer import MERCATO, PROXIED
from cases import GRPC, REST, Load, Run
from goods import Goods
from mercato_server.embedded.processes import EmbeddedError
from report import Part, Spread, rate, ratios
from runs import Scale
from stage import Stage

PRODUCTS = 1_000
SHOPPERS_PER_CALLER = 4
BUYERS_PER_SECOND = 3_000
"""More requests than the server can answer."""


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Measure each call over gRPC, over REST, and of the peer, in turns. Raises EmbeddedError on a machine with one core."""
    generator, *servers = sorted(os.sched_getaffinity(0))
    if not servers:
        raise EmbeddedError("two hosts need two cores")
    load = Load(scale.concurrency, scale.seconds, cores=(generator,))
    with _on_cores(servers):
        async with runs.shop(directory) as (running, conn), peer_stage.running(running) as peer:
            shoppers, buyers = scale.concurrency * SHOPPERS_PER_CALLER, int(BUYERS_PER_SECOND * scale.seconds)
            wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=shoppers, buyers=buyers)
            measures: dict[tuple[str, str], Callable[[], Awaitable[Run]]] = {}
            for case, way, stage in _cases(wares, running, peer.proxied):
                await case.run(stage, conn, Load(scale.concurrency, scale.warm_up_s, cores=load.cores))
                measures[case.name, way] = partial(case.run, stage, conn, load)
            lines = await runs.measure(measures, scale.few)
    by_rate = [
        (call, Spread.of(ratios(own, lines[call, PROXIED], rate)).text(2))
        for (call, way), own in lines.items()
        if way == MERCATO and (call, PROXIED) in lines
    ]
    return Part(
        title="Two hosts: the load generator on a core of its own",
        goals=[],
        note=NOTE,
        lines=lines,
        tables=[[("call", "REST ÷ peer, by rate"), *by_rate]],
    )


@contextmanager
def _on_cores(cores: list[int]) -> Iterator[None]:
    """Run this process, and all that it starts in the block, on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _cases(wares: Goods, running: Stage, peer: Stage) -> Iterator[tuple[cases.Case, str, Stage]]:
    """Yield each call on each way."""
    yield cases.empty(), GRPC, running
    for way, protocol, stage in ((GRPC, GRPC, running), (MERCATO, REST, running), (PROXIED, REST, peer)):
        yield cases.get_product(protocol, wares), way, stage
        yield cases.list_products(protocol), way, stage
        if stage is running:  # the peer has no such route
            yield cases.get_cart(protocol, wares), way, stage
        yield cases.add_cart_item(protocol, wares), way, stage
        yield cases.checkout(protocol, wares.buyers), way, stage


NOTE = (
    "PostgreSQL, the worker, Envoy, the hash process and the peer run on all cores but the first, and our own client on the first, so "
    "these rates are those of servers that share no core with their callers. On two cores all servers share one."
)
