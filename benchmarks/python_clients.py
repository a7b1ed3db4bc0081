"""Measure the Python clients beside the bare stubs: the processor time of a call in the caller's process, and of imports."""

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import goods
import python_calls
import runs
from goods import Cart, Mismatch
from python_calls import ADD, CLIENT, CLIENT_ASYNC, GET, STUB, STUB_ASYNC, WAYS
from report import Goal, Part, Spread
from runs import Scale

COUNT, QUICK_COUNT = 800, 250
"""Calls of one measurement. A line of a cart holds 1,000 units."""
CPU_MAX = {CLIENT: 1.25, CLIENT_ASYNC: 1.25}
"""Goals: processor time of a call, as a multiple of the bare stub's."""
BASES = {CLIENT: STUB, CLIENT_ASYNC: STUB_ASYNC}
IMPORT_MAX_MS = 30.0
"""Goal: processor time of `import mercato`, which loads the rest at its first use."""
IMPORTS = {
    "`import mercato`": "import mercato",
    "`from mercato import Client`": "from mercato import Client",
    "`from mercato import AsyncClient`": "from mercato import AsyncClient",
    "`import grpc`, and the stubs of the cart": "import grpc, mercato.v1.cart_pb2_grpc",
}
TIMED = "import time; began = time.process_time(); {}; print((time.process_time() - began) * 1e3)"

Measured = dict[str, float]


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Measure calls of a worker over its socket, and imports, in turns."""
    count = COUNT if scale.thorough else QUICK_COUNT
    cases = list(itertools.product((GET, ADD), WAYS))
    async with runs.shop(directory, edge=False) as (running, conn):
        products = await goods.make_products(conn, goods.LINES)
        contents = [tuple(products)] * len(cases) * (scale.rounds + 1)
        carts = iter(await goods.make_carts(conn, running.secret_key, 1, contents))
        await goods.analyze(conn)
        [target] = [f"unix:{path}" for path in running.workers.values()]
        calls = [partial(_called, way, call, target, carts, count) for call, way in cases]
        for each in calls:  # the worker's caches and pools are warm then
            await each()
        found = dict(zip(cases, await runs.interleave(calls, scale.rounds), strict=True))
    imports = await runs.interleave([partial(_imported, statement) for statement in IMPORTS.values()], scale.rounds)
    by_name = dict(zip(IMPORTS, imports, strict=True))
    return Part(
        title="Python clients beside the bare stubs", goals=_goals(found, by_name), note=NOTE, tables=[_calls(found), _imports(by_name)]
    )


async def _called(way: str, call: str, target: str, carts: Iterator[Cart], count: int) -> Measured:
    """Let a process make calls; raises Mismatch if it was answered wrongly."""
    cart = next(carts)
    arguments = (way, call, target, cart.token, str(cart.products[0]), str(count))
    measured: Measured = json.loads(await _output(python_calls.__file__, *arguments))
    return measured


async def _imported(statement: str) -> float:
    """Return the milliseconds of processor time of an import in a new process."""
    return float(await _output("-c", TIMED.format(statement)))


async def _output(*arguments: str) -> str:
    child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, err = await child.communicate()
    if child.returncode:
        raise Mismatch(f"a process with the Python client failed: {err.decode(errors='replace')[-500:]}")
    return out.decode()


Found = dict[tuple[str, str], list[Measured]]


def _ratios(found: Found, call: str, way: str) -> list[float]:
    """Return the processor time of a call as a multiple of the bare stub's, round by round."""
    return [own["cpu_us"] / base["cpu_us"] for own, base in zip(found[call, way], found[call, BASES[way]], strict=True)]


def _goals(found: Found, imports: dict[str, list[float]]) -> list[Goal]:
    calls = [
        Goal(what=f"CPU of {call} in the caller, {way} ÷ {BASES[way]}", bound=bound, found=_ratios(found, call, way), at_least=False)
        for call in (GET, ADD)
        for way, bound in CPU_MAX.items()
    ]
    name = next(iter(IMPORTS))
    return [*calls, Goal(what=f"CPU of {name}", bound=IMPORT_MAX_MS, found=imports[name], unit="ms", digits=0, at_least=False)]


def _calls(found: Found) -> Sequence[Sequence[str]]:
    head = ("call", "way", "CPU µs of the caller", "µs until the answer")
    rows = [
        (call, way, Spread.of([each["cpu_us"] for each in own]).text(), Spread.of([each["wall_us"] for each in own]).text())
        for (call, way), own in found.items()
    ]
    return [head, *rows]


def _imports(found: dict[str, list[float]]) -> Sequence[Sequence[str]]:
    return [("import", "CPU ms"), *((name, Spread.of(own).text()) for name, own in found.items())]


NOTE = (
    "A process makes calls one after the other to a worker over its Unix socket. CPU is the processor time of that process over all its "
    "threads, those of gRPC included. The stubs get a token and a deadline with each call. The clients add an idempotency key, a request "
    "id and the retry policy, and wait for the connection. Imports are timed in new processes with warm files."
)
