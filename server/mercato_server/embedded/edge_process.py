"""Envoy with the configuration of the settings, for `mercato edge`: clients leave before it stops."""

import asyncio
import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.environment import ConfigError
from mercato_server.config.inheritance import program_environ
from mercato_server.edge.envoy import render
from mercato_server.embedded.privileges import prctl

VERSION = "1.40."
ADMIN_TIMEOUT_S = 2.0
POLL_S = 0.1
KILL_S = 3.0
"""Time that Envoy has to end after SIGTERM."""
PR_SET_PDEATHSIG = 1
_ACTIVE = "http.edge.downstream_rq_active"


def run(settings: EdgeSettings) -> int:
    """Run Envoy until it ends or a signal stops it; return the exit code. Raises ConfigError without the right Envoy in PATH."""
    binary = _envoy()
    with tempfile.TemporaryDirectory(prefix="mercato-edge-") as directory:
        admin, config = Path(directory, "admin.sock"), Path(directory, "envoy.json")
        config.write_text(json.dumps(render(replace(settings, admin_path=str(admin)))))
        return asyncio.run(_run(settings, [binary, "--config-path", str(config)], admin))


async def _run(settings: EdgeSettings, command: Sequence[str], admin: Path) -> int:
    """Run Envoy until it ends or is stopped; return the exit code of this process."""
    stop, interrupted = asyncio.Event(), asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    process = await _start(command, settings)
    ended = asyncio.create_task(process.wait())
    await _first(ended, stop)
    if ended.done():
        return _exit_code(ended.result())
    if not interrupted.is_set():
        await _first(asyncio.create_task(_drained(settings, admin)), interrupted)
    await _stop(process)
    return 0


async def _start(command: Sequence[str], settings: EdgeSettings) -> asyncio.subprocess.Process:
    """Start Envoy in a process group of its own, so that Ctrl-C in a terminal does not end it before its clients have left."""
    return await asyncio.create_subprocess_exec(
        *command,
        *("--disable-hot-restart", "--log-level", "warning", "--component-log-level", "cache_filter:error"),
        *("--drain-time-s", str(max(1, round(settings.drain_s))), "--drain-strategy", "immediate"),
        *("--file-flush-interval-msec", "1000"),  # the access log shows a call after a second; the default is ten
        env=program_environ(),
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # or an Envoy whose parent was killed would keep the port
    )


async def _first(work: "asyncio.Task[int] | asyncio.Task[None]", event: asyncio.Event) -> None:
    """Wait until a task has ended or an event is set."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait((work, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _drained(settings: EdgeSettings, admin: Path) -> None:
    """Tell clients with each answer to close their connections, and return once no call runs, or after the grace period."""
    with contextlib.suppress(OSError, http.client.HTTPException):  # an Envoy that does not answer must not block the stop
        await asyncio.to_thread(_admin, admin, "POST", "/drain_listeners?graceful")
        await asyncio.sleep(settings.drain_s)
        async with asyncio.timeout(settings.grace_s):
            while await asyncio.to_thread(_active_calls, admin):  # noqa: ASYNC110 - Envoy sends no event
                await asyncio.sleep(POLL_S)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), KILL_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _active_calls(admin: Path) -> int:
    for line in _admin(admin, "GET", f"/stats?filter=^{_ACTIVE.replace('.', '[.]')}$").splitlines():
        name, _, value = line.partition(": ")
        if name == _ACTIVE:
            return int(value)
    return 0


def _admin(path: Path, method: str, target: str) -> str:
    """Return the answer of Envoy's admin page on a Unix socket."""
    connection = http.client.HTTPConnection("envoy", timeout=ADMIN_TIMEOUT_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(ADMIN_TIMEOUT_S)
        connection.sock.connect(str(path))
        connection.request(method, target)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _envoy() -> str:
    """Return the path of Envoy; raises ConfigError unless it is the version that the configuration is for."""
    found = shutil.which("envoy")
    if found is None:
        raise ConfigError("envoy is not in PATH; install Envoy 1.40")
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    if f"/{VERSION}" not in done.stdout:
        raise ConfigError(f"{found} is not Envoy 1.40: {done.stdout.strip() or done.stderr.strip()}")
    return found


def _exit_code(code: int) -> int:
    """Return the exit code for a child's wait status: 128 and the signal's number for a signal, as shells do."""
    return code if code >= 0 else 128 - code
