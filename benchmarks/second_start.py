"""Measure how long `mercato up` takes to become ready on an existing data directory."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from mercato_server.embedded.processes import EmbeddedError
from ports import free_port
from report import Goal, Part, Spread
from runs import Scale
from stage import READY_TIMEOUT_S

SECONDS_MAX = 1.5
STOP_S = 30.0


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Start and stop a shop with the demo catalog in each round, after one start that creates the data."""
    with tempfile.TemporaryDirectory(prefix="mercato-benchmark-", dir=directory) as name:
        Path(name).chmod(0o711)  # noqa: ASYNC240 - nothing runs yet; as root, PostgreSQL runs as another user, which must enter
        first, *others = [await _start_s(Path(name, "data")) for _ in range(scale.rounds + 1)]
    what = "`mercato up`, second start until ready"
    cells = [("start", "seconds"), ("first, with initdb and the demo catalog", f"{first:.2f}"), ("later ones", Spread.of(others).text(2))]
    goal = Goal(what=what, bound=SECONDS_MAX, found=others, unit="s", at_least=False)
    return Part(title="Start of the shop", goals=[goal], note=NOTE, tables=[cells])


async def _start_s(data_dir: Path) -> float:
    """Start a shop, wait until it prints that it is ready, and stop it; raises EmbeddedError if either fails."""
    command = [sys.executable, "-m", "mercato_server", "up", "--port", str(free_port()), "--data-dir", str(data_dir)]
    began = time.perf_counter()
    child = await asyncio.create_subprocess_exec(*command, env=_environ(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    if child.stdout is None or child.stderr is None:
        raise RuntimeError("mercato up has no pipes")
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not (line := await child.stdout.readline()).startswith(b"ready "):
                if not line:
                    raise EmbeddedError(f"mercato up did not start: {(await child.stderr.read()).decode(errors='replace')}")
        took_s = time.perf_counter() - began
        child.send_signal(signal.SIGINT)
        if code := await asyncio.wait_for(child.wait(), STOP_S):
            raise EmbeddedError(f"mercato up ended with {code}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    return took_s


def _environ() -> dict[str, str]:
    """Return the environment without the settings of any other shop."""
    ours = ("MERCATO_", "DATABASE_", "SECRET_", "ALGORITHM", "ACCESS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


NOTE = "From the start of the process to the line `ready http://…`: PostgreSQL, as many workers as cores, and Envoy, over REST and gRPC."
