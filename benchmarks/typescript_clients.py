"""Measure the processor time of a call of the TypeScript client in Node, beside that of the bare stub."""

import asyncio
import shutil
from functools import partial
from pathlib import Path

import goods
import runs
from mercato_server.embedded.processes import EmbeddedError
from report import Goal, Part, Spread
from runs import Scale

PACKAGE = Path(__file__).parent.parent / "clients/typescript"
PROGRAM = Path(__file__).with_suffix(".js")
CALLS = 2_000
TIMES_MAX = 1.5
"""Goal: a call by the client, as a multiple of one by the bare stub."""
CLIENT, BARE = "client", "bare"


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Read a product through Envoy, again and again, by both."""
    async with runs.shop(directory) as (running, conn):
        wares = await goods.make(conn, running.secret_key, products=100, shoppers=1, buyers=1)
        ways = [partial(_call_us, way, f"http://127.0.0.1:{running.edge_port}", str(wares.shown[0])) for way in (CLIENT, BARE)]
        client, bare = await runs.interleave(ways, scale.rounds)
    goal = Goal(
        what="a call by the TypeScript client in Node, processor time by that of connect-node's stub",
        bound=TIMES_MAX,
        found=[own / base for own, base in zip(client, bare, strict=True)],
        at_least=False,
    )
    cells = [("call of GetProduct", "µs of the client's process"), (CLIENT, Spread.of(client).text()), (BARE, Spread.of(bare).text())]
    return Part(title="The TypeScript client in Node", goals=[goal], note=NOTE, tables=[cells])


async def _call_us(way: str, target: str, product_id: str) -> float:
    node = shutil.which("node")
    if node is None or not (PACKAGE / "dist").exists():
        raise EmbeddedError("the TypeScript client is not built; run: make typescript")
    command: list[str | Path] = [node, PROGRAM, PACKAGE, target, way, product_id, str(CALLS)]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    told, errors = await child.communicate()
    if child.returncode:
        raise EmbeddedError(f"the TypeScript client ended with {child.returncode}: {errors.decode(errors='replace')}")
    return float(told)


NOTE = (
    f"{CALLS:,} calls one after the other, after 500 to warm up. Both have deadlines, the same messages, and the HTTP/2 "
    "connections of connect-node. The client adds keys, retries and errors."
)
