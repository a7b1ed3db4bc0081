"""Measure this checkout of the repository beside another one, such as the previous release, in turns: what does a change cost?

Each side is a shop of its own, with the code, the benchmarks and the packages of its checkout. The processor time of a call is compared
within each round.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import cases
import goods
import runs
from cases import GRPC, Load, Run
from report import Spread

PRODUCTS = 3_000
BUYERS = 64
TURNS = 40
LONE = 600
SECONDS = 1.5
START_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 120.0
READY = "ready"
CHECKOUT, LONE_CHECKOUT, ADD, GET_CART = "Checkout, 64 buyers", "Checkout, a lone buyer", "AddCartItem, 64 buyers", "GetCart, 64 buyers"
CALLS = (CHECKOUT, LONE_CHECKOUT, ADD, GET_CART)
Times = dict[str, float]
"""Microseconds of processor time of a call, by role."""


async def serve() -> None:
    """Run a shop, and measure the call that each line of the standard input names."""
    loop = asyncio.get_running_loop()
    async with runs.shop(None, edge=False) as (running, conn):
        wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=BUYERS, buyers=BUYERS * TURNS)
        usual, until_all = Load(BUYERS, SECONDS), Load(BUYERS, RUN_TIMEOUT_S)
        measures: Mapping[str, Callable[[], Awaitable[Run]]] = {
            CHECKOUT: lambda: cases.checkout(GRPC, wares.buyers).run(running, conn, until_all),
            LONE_CHECKOUT: lambda: cases.checkout(GRPC, wares.buyers[:LONE]).run(running, conn, Load(1, RUN_TIMEOUT_S)),
            ADD: lambda: cases.add_cart_item(GRPC, wares).run(running, conn, usual),
            GET_CART: lambda: cases.get_cart(GRPC, wares).run(running, conn, usual),
        }
        print(READY, flush=True)
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            run = await measures[line]()
            print(json.dumps({role: spent / run.outcome.count * 1e6 for role, spent in run.cpu_s.items()}), flush=True)


class Side:
    """A shop of a checkout in a process of its own."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        if child.stdin is None or child.stdout is None:
            raise RuntimeError("the side has no pipes")
        self._stdin, self._stdout = child.stdin, child.stdout

    async def line(self, timeout_s: float) -> str:
        """Return the next line that the side prints; raises EOFError if it has ended."""
        async with asyncio.timeout(timeout_s):
            if line := (await self._stdout.readline()).decode().strip():
                return line
        raise EOFError("a side has ended; its errors are above")

    async def measure(self, call: str) -> Times:
        """Return the processor time of a call."""
        self._stdin.write(f"{call}\n".encode())
        times: Times = json.loads(await self.line(RUN_TIMEOUT_S))
        return times


@asynccontextmanager
async def side(checkout: Path, settings: Mapping[str, str]) -> AsyncIterator[Side]:
    """Run the shop of a checkout with its own environment `.venv`, and with settings of its own."""
    child = await asyncio.create_subprocess_exec(
        *(str(checkout / ".venv/bin/python"), "-P", __file__, "--serve"),
        cwd=checkout,
        env={"PYTHONPATH": "benchmarks", **settings},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        started = Side(child)
        if await started.line(START_TIMEOUT_S) != READY:
            raise EOFError("a side did not start")
        yield started
        if child.stdin:
            child.stdin.close()
        await child.wait()
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()


async def compare(other: Path, this: Path, rounds: int, settings: Mapping[str, str]) -> None:
    """Print a table of the calls: the times of both sides, and the ratio. The settings are those of this checkout."""
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(side(*each)) for each in ((other, {}), (this, settings))]
        measures = [partial(each.measure, call) for call in CALLS for each in sides]
        await runs.interleave(measures, 1)  # warms up
        found = await runs.interleave(measures, rounds)
    print("| call | before, µs | now, µs | now ÷ before |\n|---|--:|--:|--:|")
    for call, before, now in zip(CALLS, found[::2], found[1::2], strict=True):
        ratios = [sum(later.values()) / sum(earlier.values()) for earlier, later in zip(before, now, strict=True)]
        print(f"| {call} | {_text(before)} | {_text(now)} | {Spread.of(ratios).text(2)} |")


def _text(times: Sequence[Times]) -> str:
    """Return the median of the sum, and of each role."""
    parts = ", ".join(f"{role} {statistics.median(each[role] for each in times):,.0f}" for role in times[0] if times[0][role])
    return f"{statistics.median(sum(each.values()) for each in times):,.0f} ({parts})"


def main() -> None:
    """Compare with the checkout that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("other", type=Path, nargs="?", help="the other checkout, after `make install` there")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of this side")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    settings = dict(each.split("=", 1) for each in arguments.set)
    if arguments.serve:
        asyncio.run(serve())
    elif arguments.other is None:
        parser.error("which checkout?")
    else:
        asyncio.run(compare(arguments.other.resolve(), Path(__file__).resolve().parents[1], arguments.rounds, settings))


if __name__ == "__main__":
    main()
