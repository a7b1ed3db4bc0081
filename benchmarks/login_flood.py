"""Measure what a flood of logins does to those who only look at products: the latency of GetProduct, with the flood and without it."""

import argparse
import asyncio
import json
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import goods
import http1
import report
import runs
from cases import REST, all_cases
from mercato_server.db import Conn
from mercato_server.embedded.up import hashing_threads
from meter import Job, Outcome, Request
from stage import HOST, Stage, generate

PRODUCTS = 100
RATIO_MAX = 2.0
"""What the flood may multiply the 99th percentile by."""
LEAD_S = 1.0
"""Time that the flood has to fill the queues before anything is measured."""
GUESSES = 1_000


@dataclass(frozen=True, slots=True)
class Round:
    """What readers saw, and how the logins of the flood were answered."""

    readers: Outcome
    logins: Counter[str]


def main() -> int:
    """Run from the command line; returns the exit code."""
    return runs.carry_out(_measure(_options()))


def _options() -> argparse.Namespace:
    parser = runs.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="time of one measurement")
    parser.add_argument("--readers", type=runs.positive, default=4, help="callers of GetProduct at once")
    parser.add_argument("--workers", type=runs.positive, default=2, help="workers behind Envoy")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s: a first look")
    if parser.parse_args().quick:
        parser.set_defaults(rounds=2, seconds=2.0)
    return parser.parse_args()


async def _measure(options: argparse.Namespace) -> list[str]:
    """Measure, and print and keep the table; returns what failed."""
    threads = hashing_threads(options.workers)
    workers = {f"worker-{number}": {"MERCATO_BCRYPT_THREADS": str(threads)} for number in range(options.workers)}
    async with runs.shop(options.directory, workers=workers) as (running, conn):
        requests = await _requests(running, conn)
        readers = _job(running, requests, options.readers, options.seconds)
        flood = _job(running, [_guess(number) for number in range(GUESSES)], options.concurrency, LEAD_S + options.seconds)
        await generate(readers, running)  # fills caches and connections
        idle, flooded = await runs.interleave([partial(_round, running, readers, each) for each in (None, flood)], options.rounds)
        machine = report.machine(await conn.fetchval("SHOW server_version"))
    ratio = statistics.median(flooded_p99 / idle_p99 for idle_p99, flooded_p99 in zip(_p99s(idle), _p99s(flooded), strict=True))
    text = _text(options, idle, flooded, ratio)
    print(text)
    if not options.no_results:
        content = {"machine": machine, "idle_p99_ms": _p99s(idle), "flooded_p99_ms": _p99s(flooded), "ratio": ratio}
        report.write(runs.RESULTS, "login_flood", content, text)
    return [f"the flood multiplies the 99th percentile by {ratio:.2f}, more than {RATIO_MAX:g}"] if ratio > RATIO_MAX else []


async def _requests(running: Stage, conn: "Conn") -> Sequence[Request]:
    wares = await goods.make(conn, running.secret_key, products=PRODUCTS, shoppers=1, buyers=1)
    [get_product] = [case for case in all_cases(wares, 0) if case.way == REST and case.name == "GetProduct"]
    return get_product.requests()


def _guess(number: int) -> Request:
    """Return a login as somebody whom no other login names, so that no limit on one account's logins helps."""
    body = json.dumps({"email": f"guess-{number}@example.com", "password": "a wrong guess"})
    return http1.request("POST", "/v1/auth:login", body=body.encode())


def _job(running: Stage, requests: Sequence[Request], concurrency: int, seconds: float) -> Job:
    return Job(
        protocol="http1",
        address=f"{HOST}:{running.edge_port}",
        requests=requests,
        concurrency=concurrency,
        seconds=seconds,
        repeatable=False,
    )


async def _round(running: Stage, readers: Job, flood: Job | None) -> Round:
    """Let readers read, beside the flood if there is one."""
    if flood is None:
        return Round((await generate(readers, running))[0], Counter())
    flooding = asyncio.create_task(generate(flood, running))
    await asyncio.sleep(LEAD_S)
    outcome, _ = await generate(readers, running)
    return Round(outcome, Counter({why[:8]: count for why, count in (await flooding)[0].failures.items()}))


def _p99s(rounds: Sequence[Round]) -> list[float]:
    return [each.readers.p99_ms for each in rounds]


def _text(options: argparse.Namespace, idle: Sequence[Round], flooded: Sequence[Round], ratio: float) -> str:
    logins = sum((each.logins for each in flooded), Counter[str]())
    seconds = (LEAD_S + options.seconds) * len(flooded)
    answers = ", ".join(f"{count / seconds:.1f} {status}" for status, count in sorted(logins.items()))
    rows = [
        f"| {name} | {statistics.median(each.readers.count / each.readers.seconds for each in rounds):,.0f} "
        f"| {statistics.median(each.readers.p50_ms for each in rounds):.2f} | {statistics.median(_p99s(rounds)):.2f} |"
        for name, rounds in (("idle", idle), (f"{options.concurrency} clients logging in", flooded))
    ]
    table = "\n".join(("| | GetProduct/s | p50 ms | p99 ms |", "|---|---|---|---|", *rows))
    head = f"{options.readers} readers through Envoy, {options.workers} workers, {options.rounds} rounds of {options.seconds:g} s; medians."
    return f"{head}\n\n{table}\n\np99 x {ratio:.2f}. Logins answered a second: {answers}.\n"


if __name__ == "__main__":
    sys.exit(main())
