"""Password hashing outside the event loop, in a bounded number of processes with a bounded queue."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mercato_server.config.inheritance import python_environ
from mercato_server.config.settings import Hashing, Limits
from mercato_server.domain.errors import Overloaded
from mercato_server.security.passwords import unmatched_hash

COMMAND = (sys.executable, "-P", "-m", "mercato_server.security.hash_process")


class PasswordHasher:
    """Hashes and verifies passwords. A hash takes about 0.25 s of a core at cost 12, so a full queue refuses further ones."""

    def __init__(self, hashing: Hashing, limits: Limits) -> None:
        self._pepper = hashing.pepper
        self._cost = hashing.cost
        self._command = (*COMMAND, hashing.priority)
        self._limits = limits
        self._most = limits.password_queue + hashing.threads
        self._waiting = 0
        self._being_refused = 0
        self._threads = ThreadPoolExecutor(hashing.threads, "bcrypt")
        self._own = threading.local()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._closing = threading.Lock()
        self._closed = False
        self._unmatched = unmatched_hash(self._cost)

    async def require_room(self) -> None:
        """Raise Overloaded if the queue is full, after a delay that slows down clients which retry at once."""
        if self._waiting >= self._most:
            await self._slow_down()
            raise Overloaded("too many logins are waiting; try again")

    async def hash(self, password: str) -> str:
        """Return the hash of a password; raises Overloaded."""
        return str(await self._run({"password": password, "pepper": self._pepper, "cost": str(self._cost)}))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether the hash is of this password; without a hash return False after the same work. Raises Overloaded."""
        request = {"password": password, "pepper": self._pepper, "hashed": hashed or self._unmatched}
        return bool(await self._run(request)) and hashed is not None

    def close(self) -> None:
        """Kill the processes, and reap them."""
        with self._closing:  # else a process could start meanwhile
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)  # the threads waited for the killed processes
        for process in self._processes:
            _reap(process)

    async def _run(self, request: dict[str, str]) -> Any:
        await self.require_room()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, request)
        finally:
            self._waiting -= 1

    async def _slow_down(self) -> None:
        """Delay a refusal, unless too many callers are delayed already."""
        if self._being_refused >= self._limits.password_refusals:
            return
        self._being_refused += 1
        try:
            await asyncio.sleep(self._limits.password_refusal_s)
        finally:
            self._being_refused -= 1

    def _ask(self, request: dict[str, str]) -> Any:
        """Send a request to the process of this thread; a killed process is replaced once."""
        line = json.dumps(request).encode() + b"\n"
        for _ in range(2):
            process = self._process()
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("a process that hashes has no pipes")
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(line)
                process.stdin.flush()
            if answer := process.stdout.readline():
                return json.loads(answer)
            process.wait()
        raise RuntimeError("the process that hashes passwords was killed")

    def _process(self) -> "subprocess.Popen[bytes]":
        """Return the process of this thread, or start one. It ends at the end of its input, so with the worker."""
        process: subprocess.Popen[bytes] | None = getattr(self._own, "process", None)
        with self._closing:
            if self._closed:
                raise RuntimeError("the worker is stopping")
            if process is not None and process.poll() is None:
                return process
            if process is not None:
                self._processes.discard(process)
                _reap(process)
            process = subprocess.Popen(
                self._command, env=python_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            self._own.process = process
            self._processes.add(process)
        return process


def _reap(process: "subprocess.Popen[bytes]") -> None:
    """Close the pipes of a process that is ending, and wait for it."""
    with contextlib.suppress(BrokenPipeError), process:
        pass
