"""Faults of a client, each planted for a block: the tests must find them."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from mercato import _aio, _connections, _core, _refresh, _sync
from mercato.errors import CallError
from mercato.sessions import MemoryStore

FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {}


def fault(name: str) -> Callable[[Callable[[pytest.MonkeyPatch], None]], Callable[[pytest.MonkeyPatch], None]]:
    """Register a function that breaks the client under a name."""

    def named(apply: Callable[[pytest.MonkeyPatch], None]) -> Callable[[pytest.MonkeyPatch], None]:
        FAULTS[name] = apply
        return apply

    return named


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Break the client for a block."""
    with pytest.MonkeyPatch.context() as patch:
        FAULTS[name](patch)
        yield


@fault("key renewed on retry")
def _(patch: pytest.MonkeyPatch) -> None:
    """Repeat a call with an unknown outcome as a new call."""
    patch.setattr(_connections, "OPTIONS", (*_connections.OPTIONS, ("grpc.enable_retries", 0)))
    answer, answer_async = _sync.Calls.answer, _aio.Calls.answer

    def twice(self: Any, *call: Any) -> Any:
        try:
            return answer(self, *call)
        except CallError as error:
            if not error.outcome_unknown:
                raise
            return answer(self, *call)

    async def twice_async(self: Any, *call: Any) -> Any:
        try:
            return await answer_async(self, *call)
        except CallError as error:
            if not error.outcome_unknown:
                raise
            return await answer_async(self, *call)

    patch.setattr(_sync.Calls, "answer", twice)
    patch.setattr(_aio.Calls, "answer", twice_async)


@fault("refresh doubled")
def _(patch: pytest.MonkeyPatch) -> None:
    """Refresh for each caller."""

    @contextmanager
    def unlocked(_store: MemoryStore) -> Iterator[None]:
        yield

    def started(self: Any, work: Callable[[], Any]) -> "Future[Any]":
        future: Future[Any] = Future()
        threading.Thread(target=self._run, args=(work, future)).start()
        return future

    patch.setattr(MemoryStore, "locked", unlocked)
    patch.setattr(_refresh.Tokens, "_started", started)


@fault("token logged")
def _(patch: pytest.MonkeyPatch) -> None:
    """Log the metadata of a call."""
    metadata = _core.Plan.metadata

    def logged(self: Any, token: str | None) -> Any:
        found = metadata(self, token)
        logging.getLogger("mercato").debug("sends %s", found)
        return found

    patch.setattr(_core.Plan, "metadata", logged)
