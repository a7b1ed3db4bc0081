"""The stages that the benchmark's worker times make up the whole of each call."""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

import stages
from mercato_server.config.settings import Batching
from mercato_server.database.batching import Coalescer
from mercato_server.store.idempotency import CLAIM_KEY
from mercato_server.store.sessions import GET_ROLES
from stopwatch import AFTER, BEFORE, FIRST, PYTHON, QUEUE, RESUMING, Laps, Stopwatch, first_words, statements

STAGES = [BEFORE, QUEUE, FIRST, "BEGIN", PYTHON, "GET_ROLES", RESUMING, AFTER]


def test_calls_of_a_batch_have_its_statements_and_their_own_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch()
    monkeypatch.setattr(Coalescer, "__init__", watch._with_timed_batches(Coalescer.__init__))
    monkeypatch.setattr(Coalescer, "__call__", watch._queue(Coalescer.__call__))

    async def fetch(_conn: object, _query: str) -> list[object]:
        await asyncio.sleep(0)
        return []

    execute = watch._statement(fetch)

    async def serve(requests: Sequence[str]) -> list[str]:
        await execute(None, "BEGIN; SET LOCAL lock_timeout = 1")
        await execute(None, GET_ROLES)
        return [*requests]

    async def calls() -> None:
        coalescer = Coalescer(serve, batching=Batching())

        async def proceed(request: bytes, _context: object) -> bytes:
            return (await coalescer(request.decode())).encode()

        timed = watch._layer(lambda _own, _method, served: served)(None, SimpleNamespace(rpc=SimpleNamespace(name="Buy")), proceed)
        assert await asyncio.gather(*(timed(name, None) for name in (b"one", b"another", b"third"))) == [b"one", b"another", b"third"]

    asyncio.run(calls())
    taken: dict[str, Any] = json.loads(watch.take())
    assert list(taken) == ["Buy"]
    assert list(taken["Buy"]) == STAGES
    assert {len(each) for each in taken["Buy"].values()} == {3}
    assert json.loads(watch.take()) == {}


def test_the_laps_add_up_to_the_time_between_the_first_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 11.0, 13.0, 20.0, 25.0, 25.0, 26.0])
    monkeypatch.setattr("stopwatch.perf_counter", lambda: next(times))
    call = Laps()
    call.lap("a")
    call.lap("b")
    batch = Laps()
    batch.lap("a")
    call.include(batch)
    call.lap("c")
    assert call.stages == {"a": 6.0, "b": 2.0, "c": 1.0}


def test_statements_have_the_names_of_their_constants() -> None:
    assert statements()[CLAIM_KEY] == "CLAIM_KEY"
    assert first_words("BEGIN; SET LOCAL lock_timeout = 12") == "BEGIN"
    assert first_words("LISTEN\n  events") == "LISTEN events"


def test_a_statement_is_recognised_in_pg_stat_statements() -> None:
    ours = "SELECT id  -- the 1st\n  FROM orders\n WHERE id = $1 AND at < now() - interval '24 hours' AND open = true LIMIT 500"
    theirs = "SELECT id  -- the 1st\n  FROM orders\n WHERE id = $1 AND at < now() - interval $2 AND open = $3 LIMIT $4"
    assert stages._normal(ours) == stages._normal(theirs)
    assert stages._normal(ours) != stages._normal(theirs.replace("<", ">"))
