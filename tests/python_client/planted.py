"""Faults of a client, each planted for a block: the tests must find them."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from mercato import _aio, _connections, _core, _refresh, _sync
from mercato.errors import Unavailable
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
    """Repeat a call with an unknown outcome as a new call, until it is answered."""
    # gRPC's transparent retries stay on: without them a call that meets the dying connection fails, although nothing was sent.
    patch.setattr(_connections, "OPTIONS", tuple(option for option in _connections.OPTIONS if option[0] != "grpc.service_config"))
    answer, answer_async = _sync.Calls.answer, _aio.Calls.answer

    def again(self: Any, *call: Any) -> Any:
        while True:
            with contextlib.suppress(Unavailable):
                return answer(self, *call)

    async def again_async(self: Any, *call: Any) -> Any:
        while True:
            with contextlib.suppress(Unavailable):
                return await answer_async(self, *call)

    patch.setattr(_sync.Calls, "answer", again)
    patch.setattr(_aio.Calls, "answer", again_async)


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
