"""Both Python clients behind one interface without `await`, so that a scenario runs through each of them."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mercato import AsyncClient, AsyncPager, Client
from support.patience import patient

Result = TypeVar("Result")


class Loop:
    """An event loop in a thread, which runs what a scenario calls."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="loop of a twin")
        self._thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(patient())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Driven:
    """An object of the asynchronous client; its coroutines are run, and their results returned."""

    def __init__(self, value: Any, loop: Loop) -> None:
        self._value, self._loop = value, loop

    def __getattr__(self, name: str) -> Any:
        return self._settled(getattr(self._value, name))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._settled(self._value(*arguments, **named))

    def __iter__(self) -> Iterator[Any]:
        items: AsyncIterator[Any] = aiter(self._value)
        while (item := self._loop.run(_next(items))) is not _END:
            yield item

    def _settled(self, value: Any) -> Any:
        if inspect.iscoroutine(value):
            return self._loop.run(value)
        is_ours = type(value).__module__.startswith("mercato._services") or isinstance(value, AsyncPager)
        return Driven(value, self._loop) if is_ours or inspect.ismethod(value) or inspect.isasyncgen(value) else value


_END = object()


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)


class Twin:
    """One of the clients."""

    def __init__(self, kind: type[Client] | type[AsyncClient]) -> None:
        self.kind = kind
        self.is_async = kind is AsyncClient

    def __repr__(self) -> str:
        return self.kind.__name__

    @contextmanager
    def open(self, target: str, **named: Any) -> Iterator[Any]:
        """Open a client; it is typed as Any because both have other types than a scenario sees."""
        if not self.is_async:
            with Client(target, **named) as client:
                yield client
            return
        loop, driven = Loop(), AsyncClient(target, **named)
        try:
            yield Driven(driven, loop)
        finally:
            loop.run(driven.close())
            loop.close()


TWINS = (Twin(Client), Twin(AsyncClient))


async def beside(work: Callable[[], Result]) -> Result:
    """Run a scenario in a thread, beside the shop that this event loop serves."""
    return await asyncio.to_thread(work)
