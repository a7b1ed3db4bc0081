"""The workers of a shop, each on its own socket, with one spare socket for a worker that replaces another."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine

from mercato_server.embedded.processes import EmbeddedError, Process, keep_running, while_alive

TAKE_OVER_TIMEOUT_S = 60.0
"""Time limit for a new worker until the edge sends it calls."""


class Workers:
    """A fixed number of workers, replaced one by one; a worker stops only after its successor serves."""

    def __init__(self, count: int, process: Callable[[int], Process], until_healthy: Callable[[int], Coroutine[None, None, None]]) -> None:
        """`process` makes the worker with a number from 0 to `count`; `until_healthy` returns once the edge sends it calls."""
        self._count = count
        self._process = process
        self._until_healthy = until_healthy
        self._running: dict[int, Process] = {}
        self._keepers: dict[int, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.restarts: Counter[str] = Counter()
        """How often a worker that had ended was started again, by its name."""

    @property
    def programs(self) -> list[Process]:
        """Processes that were started and not stopped."""
        return list(self._running.values())

    @property
    def numbers(self) -> list[int]:
        """Numbers of the workers that were started and not stopped."""
        return sorted(self._running)

    async def start(self) -> None:
        """Start all workers, without waiting until they serve."""
        for number in range(self._count):
            self._running[number] = self._process(number)
            await self._running[number].start()

    def keep_running(self, group: asyncio.TaskGroup) -> None:
        """Start workers that end again, and those that replace them too."""
        self._group = group
        for number in self._running:
            self._keep(number)

    async def replace(self, drain_s: float, tell: Callable[[int], None]) -> None:
        """Replace the workers one by one; an old worker drains, for at most `drain_s`, once the edge sends calls to the new one.

        Tells how many were replaced, after each. Raises EmbeddedError as soon as a new worker does not serve; all workers that were not
        replaced go on.
        """
        for done, old in enumerate(sorted(self._running)):
            new = next(number for number in range(self._count + 1) if number not in self._running)
            try:
                await self._start_beside(new)
            except (EmbeddedError, OSError) as error:
                rest = "the others go on as before" if done else "all go on as before"
                raise EmbeddedError(f"{error}\nThe reload ends here: {done} of {self._count} workers were replaced, {rest}") from error
            await self._let_go(old, drain_s)
            tell(done + 1)

    async def stop(self) -> None:
        """Stop all workers at once, also those that are starting or draining."""
        await asyncio.gather(*(process.stop() for process in self._running.values()))

    def _keep(self, number: int) -> None:
        if self._group is None:
            raise RuntimeError("nothing keeps the workers running yet")
        self._keepers[number] = self._group.create_task(keep_running(self._running[number], self.restarts))

    async def _start_beside(self, number: int) -> None:
        """Start one more worker; raises EmbeddedError, with the worker stopped, unless the edge starts to use it."""
        process = self._running[number] = self._process(number)
        try:
            await process.start()
            async with asyncio.timeout(TAKE_OVER_TIMEOUT_S):
                await while_alive(self._until_healthy(number), process)
        except (EmbeddedError, OSError) as error:
            await process.stop()
            del self._running[number]
            if isinstance(error, TimeoutError):
                raise EmbeddedError(f"{process.name} did not serve within {TAKE_OVER_TIMEOUT_S:.0f} s") from None
            raise
        self._keep(number)

    async def _let_go(self, number: int, drain_s: float) -> None:
        keeper = self._keepers.pop(number)
        keeper.cancel()
        await asyncio.wait([keeper])
        await self._running[number].drain(drain_s)
        del self._running[number]
