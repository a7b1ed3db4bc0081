"""The load generator, a separate process: it reads a job from standard input, prints `ready`, waits for `go`, and prints the outcome."""

import asyncio
import os
import sys
from dataclasses import replace
from functools import partial

import uvloop

from http1 import Caller
from http2 import Calls
from meter import Job, Meter, Outcome

TOGETHER = 128
"""Connections that are opened at the same time."""
TIMEOUT_S = 60.0
"""Seconds beyond the job's own duration."""


async def _run(job: Job) -> Outcome:
    loop = asyncio.get_running_loop()
    meter, connections = Meter(job), 1 if job.protocol == "h2" else job.concurrency
    if job.protocol == "h2":
        _, calls = await loop.create_unix_connection(lambda: Calls(meter), job.address)
        await _go(meter)
        calls.start(job.concurrency)
    else:
        host, _, port = job.address.rpartition(":")
        callers = [Caller(meter) for _ in range(job.concurrency)]
        for start in range(0, len(callers), TOGETHER):
            some = callers[start : start + TOGETHER]
            await asyncio.gather(*(loop.create_connection(partial(_itself, caller), host, int(port)) for caller in some))
        await _go(meter)
        for caller in callers:
            caller.start()
    try:
        async with asyncio.timeout(job.seconds + TIMEOUT_S):
            await meter.finished.wait()
    except TimeoutError:
        meter.abandon("no answer in time")
    return replace(meter.outcome(), connections=connections - meter.lost)


def _itself(caller: Caller) -> Caller:
    return caller


async def _go(meter: Meter) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.readline)
    meter.start()


def main() -> None:
    """Run one job."""
    job = Job.load(sys.stdin.buffer.readline())
    if job.cores:
        os.sched_setaffinity(0, job.cores)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(_run(job))
    sys.stdout.buffer.write(outcome.dump())


if __name__ == "__main__":
    main()
