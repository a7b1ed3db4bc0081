"""Drive reads by h2load and wrk, which leave most processor time to the server. Each request must be answered by the same bytes.

Neither program knows gRPC or reads an answer, so our own client sends the request first and checks the answer. Afterwards the number of
bytes must be a multiple of that answer's: a gRPC error has HTTP status 200, but no data.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cases import GRPC, Case, Load, Run
from goods import Mismatch
from mercato_server.database.pool import Conn
from meter import SHARES, Outcome, Request, curve_ms
from stage import HOST, Stage

H2LOAD, WRK = "h2load", "wrk"
GRPC_PREFIX_BYTES = 5
"""Bytes before each gRPC message."""
GRPC_HEADERS = ("te: trailers", "content-type: application/grpc", "grpc-timeout: 10S")
_COUNTS = re.compile(r"^requests: (\d+) total.*\nstatus codes: (\d+) 2xx.*\ntraffic: .*\((\d+)\) data$", re.MULTILINE)
_SCRIPT = Path(__file__).with_name("wrk.lua")


async def read(case: Case, running: Stage, conn: "Conn", load: Load, check_s: float) -> Callable[[], Awaitable[Run]]:
    """Return the measurement of a case: its first request repeated, or all requests by our own client if the program is not installed.

    Warms up for `check_s`, and raises goods.Mismatch if the request fails.
    """
    checked = (await case.one().run(running, conn, replace(load, seconds=check_s))).outcome
    if checked.failures:
        raise Mismatch(f"{case.way} {case.name} is answered wrongly: {checked.failures}")
    program = H2LOAD if case.way == GRPC else WRK
    if shutil.which(program) is None:
        await case.run(running, conn, replace(load, seconds=check_s))
        return partial(case.run, running, conn, load)
    first = case.requests()[0]
    if program == WRK:
        return partial(wrk, f"http://{HOST}:{running.edge_port}{first.path}", running, load, checked.reply_bytes)
    count = max(int(checked.count / checked.seconds * load.seconds), 2 * load.concurrency)
    return partial(_h2load, first, count, running, running.workers[case.worker], load.concurrency, checked.reply_bytes)


async def _h2load(request: Request, count: int, running: Stage, socket: Path, concurrency: int, reply_bytes: int) -> Run:
    """Send a request `count` times over one connection, as our own client does."""
    with tempfile.TemporaryDirectory(prefix="mercato-h2load-") as name:
        body, log = Path(name, "body"), Path(name, "log")
        body.write_bytes(request.body)  # noqa: ASYNC240 - nothing else may run meanwhile
        options = [f"--requests={count}", f"--max-concurrent-streams={concurrency}", f"--data={body}", f"--log-file={log}"]
        options += [f"--header={header}" for header in GRPC_HEADERS]
        printed, cpu_s, own_s = await _watch(
            [H2LOAD, *options, f"--base-uri=unix:{socket}", f"http://benchmark{request.path}"], {}, running
        )
        outcome = h2load_outcome(printed, log.read_text(), reply_bytes)  # noqa: ASYNC240
    return Run(replace(outcome, generator_cpu_s=own_s), cpu_s, driver=H2LOAD)


async def wrk(url: str, running: Stage, load: Load, reply_bytes: int) -> Run:
    """Request a URL over one connection per caller; wrk takes whole seconds only."""
    options = ["--threads=1", f"--connections={load.concurrency}", f"--duration={max(round(load.seconds), 1)}s", f"--script={_SCRIPT}"]
    printed, cpu_s, own_s = await _watch([WRK, *options, url], {"SHARES": " ".join(map(str, SHARES))}, running)
    return Run(replace(wrk_outcome(printed, reply_bytes), generator_cpu_s=own_s), cpu_s, driver=WRK)


async def _watch(command: Sequence[str], environ: Mapping[str, str], running: Stage) -> tuple[str, dict[str, float], float]:
    """Run a program; return its output, and the processor time of each role and of the program itself."""
    before, began_s = running.cpu_s(), _children_s()
    child = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        printed, _ = await child.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    after = running.cpu_s()
    return printed.decode(), {role: after[role] - before[role] for role in after}, _children_s() - began_s


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def h2load_outcome(printed: str, log: str, reply_bytes: int) -> Outcome:
    """Parse h2load's output and its log: the send time, the HTTP status and the duration of each request, in microseconds."""
    counted = _COUNTS.search(printed)
    if counted is None:
        raise Mismatch(f"h2load did not finish: {printed[-500:]}")
    total, good, data = map(int, counted.groups())
    requests = [(int(sent), int(took)) for sent, status, took in map(str.split, log.splitlines()) if status == "200"]
    failures = {"no HTTP 200": total - good, "not the bytes of that many answers": data - total * (reply_bytes + GRPC_PREFIX_BYTES)}
    return Outcome(
        count=good,
        seconds=(max(sent + took for sent, took in requests) - min(sent for sent, _ in requests)) / 1e6 if requests else 0.0,
        curve_ms=curve_ms(took / 1e6 for _, took in requests),
        reply_bytes=reply_bytes,
        generator_cpu_s=0.0,
        failures={why: abs(count) for why, count in failures.items() if count},
    )


def wrk_outcome(printed: str, reply_bytes: int) -> Outcome:
    """Parse the output of wrk.lua. Response headers vary in length, so the number of bytes reveals only answers that are too short."""
    counted = json.loads(printed.splitlines()[-1])
    failures = {**counted["errors"], "too few bytes for that many answers": int(counted["bytes"] < counted["count"] * reply_bytes)}
    return Outcome(
        count=counted["count"] - counted["errors"]["status"],
        seconds=counted["us"] / 1e6,
        curve_ms=counted["curve_ms"],
        reply_bytes=reply_bytes,
        generator_cpu_s=0.0,
        failures={why: count for why, count in failures.items() if count},
    )
