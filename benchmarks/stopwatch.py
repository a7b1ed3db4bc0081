"""Time the stages of calls inside a worker of the benchmark, by wrapping public functions of the server before the worker starts."""

import functools
import importlib
import json
import pkgutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from time import perf_counter
from typing import Any

from mercato_server import database, store
from mercato_server.database.batching import Coalescer
from mercato_server.database.pool import Connection
from mercato_server.handlers.idempotency import Idempotency
from mercato_server.rpc.calls import CallsInFlight

BEFORE, QUEUE, FIRST, PYTHON = "before the queue", "waiting in the queue", "until the first statement", "Python between statements"
SERIALIZING, RESUMING, AFTER = "serialising the answer to store", "until the caller's task runs", "after the batch"
METHODS = ("execute", "fetch", "fetchrow", "fetchval")
NAME_CHARACTERS = 40


class Laps:
    """Times by stage: each lap ends a stage and starts the next one. The times of a stage that repeats are added."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage now."""
        now = perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self._last
        self._last = now

    def include(self, batch: "Laps") -> None:
        """Add the laps of a batch that has just ended."""
        for stage, took_s in batch.stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + took_s
        self._last = perf_counter()


_call: ContextVar[Laps | None] = ContextVar("call", default=None)
"""The call of the task. A batch has none."""
_batch: ContextVar[Laps | None] = ContextVar("batch", default=None)
"""The batch that the task serves."""


class Stopwatch:
    """The stages of calls that have ended since they were last taken."""

    def __init__(self) -> None:
        self._ended: dict[str, list[dict[str, float]]] = {}
        self._waiting: dict[int, Laps] = {}
        """Calls by the identity of the request with which they wait for a batch."""
        self._names = statements()

    def install(self) -> None:
        """Wrap the layer around all calls, the coalescers, the statements of pooled connections, and what serializes stored answers."""
        CallsInFlight.layer = self._layer(CallsInFlight.layer)  # type: ignore[method-assign]
        Coalescer.__init__ = self._with_timed_batches(Coalescer.__init__)  # type: ignore[method-assign]
        Coalescer.__call__ = self._queue(Coalescer.__call__)  # type: ignore[assignment, method-assign]
        Idempotency.key = _with_timed_answer(Idempotency.key)  # type: ignore[method-assign]
        for name in METHODS:
            setattr(Connection, name, self._statement(getattr(Connection, name)))

    def take(self) -> bytes:
        """Return the calls that have ended as JSON, and forget them: microseconds by RPC and stage, each call in one place of all lists."""
        ended, self._ended = self._ended, {}
        taken = {}
        for rpc, calls in ended.items():
            stages = dict.fromkeys(stage for call in calls for stage in call)
            taken[rpc] = {stage: [round(call.get(stage, 0.0) * 1e6) for call in calls] for stage in stages}
        return json.dumps(taken).encode()

    def _layer(self, layer: Callable[..., Any]) -> Callable[..., Any]:
        def timed_layer(own: object, method: Any, proceed: Any) -> Any:
            serve = layer(own, method, proceed)

            async def timed(request: bytes, context: Any) -> Any:
                laps = Laps()
                token = _call.set(laps)
                try:
                    return await serve(request, context)
                finally:
                    _call.reset(token)
                    laps.lap(AFTER)
                    self._ended.setdefault(method.rpc.name, []).append(laps.stages)

            return timed

        return timed_layer

    def _queue(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def timed(own: object, request: object) -> Any:
            laps = _call.get()
            if laps is None:
                return await call(own, request)
            laps.lap(BEFORE)
            self._waiting[id(request)] = laps
            try:
                return await call(own, request)
            finally:
                self._waiting.pop(id(request), None)
                laps.lap(RESUMING)

        return timed

    def _with_timed_batches(self, init: Callable[..., None]) -> Callable[..., None]:
        def timed_init(own: object, serve: Callable[[Sequence[object]], Awaitable[Any]], **options: Any) -> None:
            async def timed(requests: Sequence[object]) -> Any:
                calls = [laps for request in requests if (laps := self._waiting.get(id(request)))]
                for laps in calls:
                    laps.lap(QUEUE)
                batch = Laps()
                token = _batch.set(batch)
                try:
                    return await serve(requests)
                finally:
                    _batch.reset(token)
                    batch.lap(PYTHON)
                    for laps in calls:
                        laps.include(batch)

            init(own, timed, **options)

        return timed_init

    def _statement(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def timed(own: object, query: str, *arguments: Any, **options: Any) -> Any:
            laps = _batch.get() or _call.get()
            if laps is None:
                return await method(own, query, *arguments, **options)
            laps.lap(PYTHON if laps.stages else FIRST)
            try:
                return await method(own, query, *arguments, **options)
            finally:
                laps.lap(self._names.get(query) or first_words(query))

        return timed


def _with_timed_answer(key: Callable[..., Any]) -> Callable[..., Any]:
    def timed_key(*arguments: Any) -> Any:
        made = key(*arguments)
        if made is None:
            return None
        serialize = made.serialize

        def timed(result: object) -> bytes:
            laps = _batch.get()
            if laps is None:
                return bytes(serialize(result))
            laps.lap(PYTHON)
            try:
                return bytes(serialize(result))
            finally:
                laps.lap(SERIALIZING)

        return replace(made, serialize=timed)

    return timed_key


def statements() -> dict[str, str]:
    """Return the names of the server's statements by their text."""
    return {
        value: name
        for module in _modules()
        for name, value in vars(module).items()
        if isinstance(value, str) and name.isupper() and not name.startswith("_")
    }


def _modules() -> Iterator[Any]:
    for package in (database, store):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def first_words(statement: str) -> str:
    """Return the command of a statement without a name; BEGIN comes with the limits of its caller's deadline."""
    words = " ".join(statement.split())
    return "BEGIN" if words.startswith("BEGIN") else words[:NAME_CHARACTERS]
