"""Measure latencies at 80 % of the highest rate, with and without a flood of logins, and whether logins are answered in the flood."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import http1
import mixed_load
import runs
from cases import Case
from meter import Job, Outcome, Request
from mixed_load import CALLERS, SECONDS_MIN, SHARE, WORKERS
from report import Goal, Part, Spread
from runs import Scale
from stage import HOST, Stage, generate

FLOOD = 64
LEAD_S, TAIL_S = 1.0, 0.5
"""The flood starts before the measurement, to fill the queues, and ends after it, because the carts are filled first."""
GUESSES = 1_000
P99_MAX_MS, FLOODED_P99_MAX_MS = 100.0, 150.0
LOGINS_MIN = 1.0
"""Logins of the flood that must be hashed and answered a second: hashing has 30 % of a core for sure, enough for 1.2 of them."""
HASHED = "HTTP 401"
"""Answer to a wrong password that was hashed; one that is shed gets another."""
DEADLINE_MS = 5_000.0
"""Deadline of a login whose client sets none."""


@dataclass(frozen=True, slots=True)
class Round:
    """Outcomes of the calls, and of the flood's logins."""

    asked: dict[str, float]
    """Calls a second."""
    calls: dict[str, Outcome]
    logins: Counter[str]

    @property
    def worst_ms(self) -> float:
        """The 99th percentile of the call where it is highest."""
        return max(outcome.p99_ms for outcome in self.calls.values())


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Find the highest rate anew in each round, then call at a share of it, with and without the flood."""
    seconds = max(scale.seconds, SECONDS_MIN)
    async with runs.shop(directory, workers={name: {} for name in WORKERS}) as (running, conn):
        calls, flood = await mixed_load.calls(conn, running, seconds), _flood(running, LEAD_S + seconds + TAIL_S)
        calm, flooded = await runs.interleave([partial(_round, calls, running, seconds, each) for each in (None, flood)], scale.rounds)
    flood_s = LEAD_S + seconds + TAIL_S
    return Part(
        title=f"Latencies at {SHARE:.0%} load, and beside a flood of logins",
        goals=[
            _p99_goal("", P99_MAX_MS, calm),
            _p99_goal(" beside a flood of logins", FLOODED_P99_MAX_MS, flooded),
            Goal(
                what="logins that are answered a second in the flood",
                bound=LOGINS_MIN,
                found=[each.logins[HASHED] / flood_s for each in flooded],
                unit="",
                digits=1,
            ),
        ],
        note=f"{NOTE} Logins answered a second: {_answers(flooded, flood_s)}.",
        tables=[_table({"no flood": calm, "flood": flooded})],
    )


def _p99_goal(where: str, bound: float, rounds: Sequence[Round]) -> Goal:
    what = f"p99 at {SHARE:.0%} load{where}, of the slowest call"
    return Goal(what=what, bound=bound, found=[each.worst_ms for each in rounds], unit="ms", digits=0, at_least=False)


def _flood(running: Stage, seconds: float) -> Job:
    """Return logins with a different address each, so that no limit per account slows the flood down."""
    return Job(
        protocol="http1",
        address=f"{HOST}:{running.edge_port}",
        requests=[_guess(number) for number in range(GUESSES)],
        concurrency=FLOOD,
        seconds=seconds,
        repeatable=False,
    )


def _guess(number: int) -> Request:
    body = json.dumps({"email": f"guess-{number}@example.com", "password": "a wrong guess"})
    return http1.request("POST", "/v1/auth:login", body=body.encode())


async def _round(calls: Sequence[Case], running: Stage, seconds: float, flood: Job | None) -> Round:
    """Make all the calls at once without a pause, then a share of that rate at fixed times, beside the flood if there is one."""
    asked = mixed_load.asked(await mixed_load.eager(calls, running))
    async with asyncio.TaskGroup() as group:
        flooding = group.create_task(generate(flood, running)) if flood else None
        await asyncio.sleep(LEAD_S if flood else 0)
        paced = await mixed_load.paced(calls, running, asked, seconds)
    return Round(asked, paced, Counter({why[:8]: count for why, count in flooding.result()[0].failures.items()} if flooding else {}))


def _table(ways: Mapping[str, Sequence[Round]]) -> list[tuple[str, ...]]:
    cells: list[tuple[str, ...]] = [("call", "way", "asked for a second", "p50 ms", "p99 ms")]
    for name in next(iter(ways.values()))[0].calls:
        for way, rounds in ways.items():
            asked = Spread.of([each.asked[name] for each in rounds])
            p50, p99 = (Spread.of([getattr(each.calls[name], figure) for each in rounds]) for figure in ("p50_ms", "p99_ms"))
            cells.append((name, way, asked.text(), p50.text(1, spread=False), p99.text(1)))
    return cells


def _answers(flooded: Sequence[Round], seconds: float) -> str:
    logins = sum((each.logins for each in flooded), Counter[str]())
    return ", ".join(f"{count / seconds / len(flooded):.1f} {status}" for status, count in sorted(logins.items()))


NOTE = (
    f"Over REST through Envoy, {len(WORKERS)} workers. First {CALLERS} callers of each make all calls without a pause; right after "
    f"that {SHARE:.0%} as often, at fixed times: a latency runs from the time when its call was due, whether or not a caller was free. "
    f"The flood is {FLOOD} clients that guess passwords as fast as they are answered. The load generators, six processes, share the cores "
    "with all this."
)
