"""Child processes that end with their parent, are started again when they end, and stop in order."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from mercato_server.embedded.privileges import Account, View, become, prctl

LOG_TAIL_BYTES = 4096
LOG_TAIL_LINES = 15
REPORT_BYTES_MAX = 4096
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
BACKOFF_RESET_S = 30.0
"""A process that ran this long is started again after the shortest delay."""

_PR_SET_PDEATHSIG = 1


class EmbeddedError(Exception):
    """An embedded process cannot run; the message tells the operator what to do."""


class DirectoryInUseError(EmbeddedError):
    """Another process holds the data directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command, the files of its output, and the signals that stop it."""

    name: str
    argv: Sequence[str | Path]
    environ: Mapping[str, str]
    output: Path
    errors: Path | None = None
    """File of standard error; None means `output`."""
    account: Account | None = None
    """None means the parent's user."""
    view: View | None = None
    """View of the file system in which the account reaches the program."""
    binds_low_ports: bool = False
    """Whether the account may listen on ports below 1024."""
    prepare: Callable[[], None] = lambda: None
    """Called before each start."""
    logs: Mapping[str, Path] = field(default_factory=dict)
    """Further logs, by the variable in which the child finds a path to open them: it may not enter their directory."""
    inherits: tuple[int, ...] = ()
    """File descriptors of the parent that the child inherits."""
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    """Sent one after the other, `stop_s` apart, before SIGKILL."""
    stop_s: float = 3.0
    orphan_signal: signal.Signals = signal.SIGKILL
    """Signal that the kernel sends when the thread that started the process has ended."""


class Program(Protocol):
    """A program that runs until it ends or is stopped, and can be started again."""

    @property
    def name(self) -> str:
        """Name in messages."""

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""

    async def start(self) -> None:
        """Start it; raises EmbeddedError, with nothing left running, if it cannot run."""

    async def wait(self) -> int:
        """Wait until it has ended; returns its exit code, or minus the signal that killed it."""

    async def stop(self) -> None:
        """Stop it and wait for its end; does nothing when it is not running."""

    def failure(self) -> EmbeddedError:
        """Return how it ended together with the last lines of its log."""


class Process:
    """One child process. Start it from the main thread: the kernel ends it together with the thread that started it."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def name(self) -> str:
        """Name in messages."""
        return self._command.name

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    async def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches the supervisor alone."""
        command = self._command
        command.prepare()
        log = command.errors or command.output
        with contextlib.ExitStack() as files:
            output = files.enter_context(_open_log(command.output, command.account))
            errors = files.enter_context(_open_log(command.errors, command.account)) if command.errors else output
            logs = {name: files.enter_context(_open_log(path, command.account)).fileno() for name, path in command.logs.items()}
            self._log_start = log.stat().st_size
            reports, report = os.pipe()
            files.callback(os.close, reports)
            files.callback(os.close, report)
            try:
                self._child = subprocess.Popen(  # noqa: ASYNC220 - the argv is ours; fork and exec take milliseconds
                    command.argv,
                    env={**command.environ, **{name: f"/dev/fd/{log}" for name, log in logs.items()}},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    process_group=0,
                    preexec_fn=_beginning(command, os.getpid(), report),  # noqa: PLW1509 - a few system calls
                    pass_fds=(*command.inherits, *logs.values()),
                )
            except subprocess.SubprocessError:
                os.set_blocking(reports, False)
                reason = os.read(reports, REPORT_BYTES_MAX).decode(errors="replace")
                raise EmbeddedError(f"{self.name} cannot be started: {reason}") from None

    async def wait(self) -> int:
        """Wait until it has ended; returns its exit code, or minus the signal that killed it."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return await _exited(self._child)

    async def stop(self) -> None:
        """Send the stop signals one after the other, then SIGKILL, and wait for the end."""
        if self._child is None:
            return
        for number in self._command.stop_signals:
            self._child.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), self._command.stop_s)
                return
        self._child.kill()
        await self.wait()

    async def drain(self, within_s: float) -> None:
        """Send SIGTERM, and stop the process if it takes longer than `within_s`; does nothing when it is not running."""
        if self._child is None:
            return
        self._child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), within_s)
        except TimeoutError:
            await self.stop()

    def kill(self) -> None:
        """End it at once and reap it."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def failure(self) -> EmbeddedError:
        """Return how it ended, with the last lines that this run logged."""
        code = self._child.poll() if self._child is not None else None
        log = self._command.errors or self._command.output
        lines = _tail(log, self._log_start)
        return EmbeddedError(f"{self.name} {describe_exit(code)}; {log} ends with:\n{lines or '(nothing)'}")


class Backoff:
    """Delays before a program that ended is started again; doubled each time, up to a limit."""

    def __init__(self) -> None:
        self._next_s = BACKOFF_FIRST_S

    def after(self, lived_s: float) -> float:
        """Return the delay after a program that ran for `lived_s`; after BACKOFF_RESET_S it is the shortest again."""
        delay_s = BACKOFF_FIRST_S if lived_s >= BACKOFF_RESET_S else self._next_s
        self._next_s = min(delay_s * 2, BACKOFF_MAX_S)
        return delay_s


async def keep_running(program: Program, restarts: Counter[str]) -> NoReturn:
    """Start a program again whenever it ends, with backoff; count this, and report each end on standard error."""
    backoff = Backoff()
    while True:
        began = time.monotonic()
        code = await program.wait()
        delay_s = backoff.after(time.monotonic() - began)
        complain(f"{program.name} {describe_exit(code)}; starting it again in {delay_s:.1f} s")
        await asyncio.sleep(delay_s)
        restarts[program.name] += 1
        try:
            await program.start()
        except (EmbeddedError, OSError) as error:
            complain(str(error) or repr(error))


async def first(*work: Coroutine[None, None, object]) -> None:
    """Run all until one ends, cancel the others and wait for them; raises the exception of the first one."""
    tasks = [asyncio.create_task(item) for item in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def while_alive(work: Coroutine[None, None, object], *programs: Program) -> None:
    """Run `work`; raises EmbeddedError as soon as one of the programs ends."""
    await first(work, *map(_failure_of, programs))


async def _failure_of(program: Program) -> None:
    await program.wait()
    raise program.failure()


def lock(path: Path) -> int:
    """Lock a file and return its descriptor; closing it, or the end of this process, unlocks. Raises DirectoryInUseError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode().strip() or "unknown"
        os.close(descriptor)
        message = f"{path.parent} is in use by process {holder}; stop that process or choose another directory with --data-dir"
        raise DirectoryInUseError(message) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def complain(message: str) -> None:
    """Write a message to standard error; a closed one is ignored."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"mercato: {message}\n")
        sys.stderr.flush()


def describe_exit(code: int | None) -> str:
    """Return a wait status in words: `ended with exit code 1`, `was killed by SIGKILL`."""
    if code is None:
        return "is running"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # the real-time signals have no names
        return f"was killed by signal {-code}"


def _beginning(command: Command, parent: int, report: int) -> Callable[[], None]:
    """Return a function for the child to run between fork and exec; it writes the reason of a failure to `report`."""

    def in_child() -> None:
        try:
            if command.account is not None:
                become(command.account, command.view, binds_low_ports=command.binds_low_ports)
            end_with_parent(parent, command.orphan_signal)  # after setuid, which would clear it
        except OSError as error:
            os.write(report, _reason(command, error).encode())
            raise

    return in_child


def end_with_parent(parent: int, orphan_signal: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send this process a signal when the thread of `parent` that started it ends. Call it between fork and exec."""
    prctl(_PR_SET_PDEATHSIG, orphan_signal)
    if os.getppid() != parent:  # the parent ended before the call, so no signal will come
        os.kill(os.getpid(), signal.SIGKILL)


def _reason(command: Command, error: OSError) -> str:
    why = f"{error.strerror} ({error.filename})" if error.filename else f"{error.strerror}"
    if command.account is None:
        return why
    cure = f", or let others enter with: chmod o+x {' '.join(map(str, command.view.closed))}" if command.view else ""
    return f"root cannot run it as the user {command.account.name}: {why}; run this as an ordinary user{cure}"


async def _exited(child: "subprocess.Popen[bytes]") -> int:
    """Wait for a child without a thread and without polling; several callers may wait for the same child."""
    if (code := child.poll()) is not None:
        return code
    descriptor = os.pidfd_open(child.pid)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return child.wait()


def _open_log(path: Path, account: Account | None) -> BinaryIO:
    """Open a log for a process; its account owns it, since Envoy opens its standard output once more."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = path.open("ab")
    if account is not None:
        os.fchown(log.fileno(), account.uid, account.gid)
    return log


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start if start <= end else 0, end - LOG_TAIL_BYTES))  # the log may have been cut since
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])
