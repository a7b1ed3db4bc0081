"""Trace where the time of calls goes at 80 % load, by stage: in the worker, and of each statement in PostgreSQL."""

import json
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc

import mixed_load
import runs
from mercato_server.database.pool import Conn
from meter import Outcome
from mixed_load import SECONDS_MIN, SHARE, WORKERS
from report import Part
from runs import Scale
from stage import Stage
from stopwatch import statements
from worker import TAKE_STAGES, TIMED

SLOWEST = 0.01
"""Share of the calls that count as the slowest."""
UNLIMITED = [("grpc.max_receive_message_length", -1)]

GET_TIMES = """
SELECT query, calls, total_exec_time AS ms
  FROM pg_stat_statements
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
RESET = "SELECT pg_stat_statements_reset()"

Stages = Mapping[str, Sequence[int]]
"""Microseconds of each call by stage."""


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Make calls of all kinds at a share of the highest rate, once, with workers that time their stages."""
    seconds = max(scale.seconds, SECONDS_MIN)
    async with runs.shop(directory, workers=dict.fromkeys(WORKERS, TIMED), preload="pg_stat_statements") as (running, conn):
        await conn.execute("CREATE EXTENSION pg_stat_statements")
        calls = await mixed_load.calls(conn, running, seconds)
        asked = mixed_load.asked(await mixed_load.eager(calls, running))
        await _take(running)
        await conn.execute(RESET)
        outcomes = await mixed_load.paced(calls, running, asked, seconds)
        traced, means_ms = await _take(running), await _statement_means(conn)
    tables = [_table(rpc, stages, means_ms, outcomes) for rpc, stages in traced.items() if len(_totals(stages)) >= 1 / SLOWEST]
    return Part(title=f"Stages of calls at {SHARE:.0%} load", goals=[], note=NOTE, tables=tables)


async def _take(running: Stage) -> Mapping[str, Stages]:
    """Take the stages of all workers, and forget them there."""
    merged: dict[str, dict[str, list[int]]] = {}
    for socket in running.workers.values():
        async with grpc.aio.insecure_channel(f"unix:{socket}", options=UNLIMITED) as channel:
            take: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(TAKE_STAGES)
            taken = json.loads(await take(b""))
        for rpc, stages in taken.items():
            own = merged.setdefault(rpc, {})
            before, new = len(next(iter(own.values()), [])), len(next(iter(stages.values())))
            for stage in {**own, **stages}:
                own[stage] = [*own.get(stage, [0] * before), *stages.get(stage, [0] * new)]
    return merged


async def _statement_means(conn: "Conn") -> dict[str, float]:
    """Return the mean milliseconds in which PostgreSQL executed each of the server's statements, by name."""
    names = {_normal(text): name for text, name in statements().items()}
    count, spent_ms = Counter[str](), Counter[str]()
    for row in await conn.fetch(GET_TIMES):
        if name := names.get(_normal(row["query"])):
            count[name] += row["calls"]
            spent_ms[name] += row["ms"]
    return {name: spent_ms[name] / count[name] for name in count}


def _normal(statement: str) -> str:
    """Return a statement without comments, and with a mark for each constant, as pg_stat_statements has numbers for them."""
    bare = re.sub(r"--[^\n]*", " ", statement)
    marked = re.sub(r"(?i)\$\d+|'(?:[^']|'')*'|-?\b\d+(?:\.\d+)?\b|\b(?:true|false|null)\b", "?", bare)
    return " ".join(marked.split())


def _totals(stages: Stages) -> list[int]:
    return [sum(call) for call in zip(*stages.values(), strict=True)]


def _table(rpc: str, stages: Stages, means_ms: Mapping[str, float], outcomes: Mapping[str, Outcome]) -> list[tuple[str, ...]]:
    """Return a row for each stage, in the order of its first end, and rows of the sums and of the latencies that callers see."""
    totals = _totals(stages)
    slowest = sorted(range(len(totals)), key=totals.__getitem__)[-max(int(len(totals) * SLOWEST), 1) :]
    cells: list[tuple[str, ...]] = [(rpc, "mean ms", "p99 ms", "mean ms of the slowest 1 %", "mean ms in PostgreSQL")]
    for stage, taken in (*stages.items(), ("in the worker", totals)):
        in_database = f"{means_ms[stage]:.2f}" if stage in means_ms else ""
        cells.append((stage, *_figures(taken), f"{statistics.fmean(taken[place] for place in slowest) / 1000:.2f}", in_database))
    seen = next((outcome for name, outcome in outcomes.items() if name.partition(",")[0] == rpc), None)
    return [*cells, *([("as its caller sees it", f"p50 {seen.p50_ms:.2f}", f"{seen.p99_ms:.2f}", "", "")] if seen else [])]


def _figures(taken_us: Sequence[int]) -> tuple[str, str]:
    p99_us = sorted(taken_us)[min(int(len(taken_us) * (1 - SLOWEST)), len(taken_us) - 1)]
    return f"{statistics.fmean(taken_us) / 1000:.2f}", f"{p99_us / 1000:.2f}"


NOTE = (
    f"As in the part on latencies, without a flood: {len(WORKERS)} workers, calls of every kind at fixed times over REST. These workers "
    "time their stages, so they are slower than others. A call shares its batch, so each call has the whole time of every statement of "
    "its batch. Round trips include the wait for the event loop; PostgreSQL's own time includes waits for locks; pg_stat_statements "
    "does not know it of COMMIT. Answers without a key are serialised after the batch. Reads of products that are in memory are answered "
    "without layers, and are not traced."
)
