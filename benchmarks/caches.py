"""Measure anonymous reads without a cache, from Envoy's cache, and from Varnish in front of Envoy, by turns; prints a table.

wrk drives all of them, asks for one thing, and accepts no compression.
"""

import statistics
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import cases
import drivers
import goods
import runs
from cases import REST, Load
from report import markdown
from stage import HOST, Stage, edge_beside
from varnish import varnish

PRODUCTS = 1_000
CONCURRENCY = 64
NONE, ENVOYS, VARNISH = "no cache", "Envoy's cache", "Varnish"


async def measure(rounds: int, seconds: float, directory: Path | None) -> str:
    """Return a table: microseconds of processor time of all servers for a call that a cache has, except once a second."""
    async with runs.shop(directory) as (running, conn), AsyncExitStack() as stack:
        ways = await _ways(running, stack)
        wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=1, buyers=1)
        found: dict[tuple[str, str], list[float]] = {}
        for case in (cases.get_product(REST, wares).one(), cases.list_products(REST)):
            checked = await case.run(running, conn, Load(CONCURRENCY, seconds))
            for _ in range(rounds + 1):
                for way, stage in ways.items():
                    url = f"http://{HOST}:{stage.edge_port}{case.requests()[0].path}"
                    run = await drivers.wrk(url, stage, Load(CONCURRENCY, seconds), checked.outcome.reply_bytes)
                    if run.outcome.failures:
                        raise goods.Mismatch(f"{way}: {run.outcome.failures}")
                    found.setdefault((case.name, way), []).append(sum(run.cpu_s.values()) / run.outcome.count * 1e6)
    return markdown(_rows(found))


async def _ways(running: Stage, stack: AsyncExitStack) -> Mapping[str, Stage]:
    cached = await stack.enter_async_context(edge_beside(running, cached=True))
    port, pid = stack.enter_context(varnish(running.edge_port))
    behind = replace(running, edge_port=port, pids={**running.pids, VARNISH: (pid,)})
    return {NONE: running, ENVOYS: cached, VARNISH: behind}


def _rows(found: Mapping[tuple[str, str], list[float]]) -> list[tuple[str, ...]]:
    medians = {name: statistics.median(each[1:]) for name, each in found.items()}  # the first is the warm-up
    head = ("", "", "CPU of a call, µs", f"÷ {NONE}")
    return [head, *((call, way, f"{us:.0f}", f"{us / medians[call, NONE]:.2f}") for (call, way), us in medians.items())]


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = runs.parser(__doc__)
    parser.add_argument("--rounds", type=runs.positive, default=5, help="measurements of each read on each way")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of one measurement")
    options = parser.parse_args()

    async def printed() -> list[str]:
        print(await measure(options.rounds, options.seconds, options.directory))
        return []

    return runs.carry_out(printed())


if __name__ == "__main__":
    raise SystemExit(main())
