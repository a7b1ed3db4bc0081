"""A process that has loaded the modules of `mercato`, and runs each command in a fork of itself.

To load them takes a command most of its processor time, and the tests run hundreds of commands. A fork has the arguments, environment,
directory and streams of the command alone; tests/cli/test_cli.py starts commands as an operator does.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import typer

from support.patience import patient

REQUEST_BYTES = 64 * 1024
LOADED = (
    "asyncpg",
    "mercato.cli.calls",
    "mercato.cli.logins",
    "mercato.cli.pictures",
    "mercato.cli.program",
    "mercato.client",
    "mercato_server.composition",
    "mercato_server.embedded.database",
    "typer.rich_utils",
    "uvloop",
)
"""Modules that commands load when they run."""
_SERVE = "import sys; from support.forked_commands import serve; serve(int(sys.argv[1]))"


class Commands:
    """Runs commands; starts the process at the first one. Threads may run commands at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: tuple[subprocess.Popen[bytes], socket.socket] | None = None

    def run(self, arguments: tuple[str, ...], environ: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Run `mercato` with these arguments, as subprocess.run; raises subprocess.TimeoutExpired after the patience of a test."""
        status, theirs = os.pipe()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, os.fdopen(status, "rb") as answer:
            request = json.dumps({"arguments": arguments, "environ": environ, "cwd": str(cwd)}).encode()
            try:
                with self._lock:
                    socket.send_fds(self._socket(), [request], [out.fileno(), err.fileno(), theirs])
            finally:
                os.close(theirs)
            code = _exit_code(arguments, answer)
            return subprocess.CompletedProcess(["mercato", *arguments], code, _text(out), _text(err))

    def close(self) -> None:
        """End the process."""
        if self._started:
            process, connection = self._started
            connection.close()
            process.wait()

    def _socket(self) -> socket.socket:
        if self._started is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            environ = {name: os.environ[name] for name in ("PATH",) if name in os.environ} | {"PYTHONPATH": os.pathsep.join(sys.path)}
            command = [sys.executable, "-c", _SERVE, str(theirs.fileno())]
            process = subprocess.Popen(command, env=environ, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            theirs.close()
            self._started = process, ours
        return self._started[1]


def _exit_code(arguments: tuple[str, ...], answer: IO[bytes]) -> int:
    """Read the line with the process id of a command, then that with its exit code."""
    pid = int(answer.readline())
    timer = threading.Timer(limit_s := patient(), os.kill, (pid, signal.SIGKILL))
    timer.start()
    try:
        code = int(answer.readline())
    finally:
        timer.cancel()
    if code == -signal.SIGKILL:
        raise subprocess.TimeoutExpired(["mercato", *arguments], limit_s)
    return code


def _text(file: IO[bytes]) -> str:
    """Return the contents with the newlines of subprocess.run."""
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n").replace("\r", "\n")


def serve(descriptor: int) -> None:
    """Run commands until the socket with this descriptor is closed."""
    import mercato_server.cli
    from mercato_server.cli.commands import app

    for module in pkgutil.iter_modules(mercato_server.cli.__path__):
        importlib.import_module(f"mercato_server.cli.{module.name}")
    for name in LOADED:
        with contextlib.suppress(ImportError):  # a Python may lack uvloop
            importlib.import_module(name)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123 - no path of a file
        _parse(typer.main.get_command(app), None)
    gc.collect()
    gc.freeze()  # else the end of each fork searches and so copies all modules
    with socket.socket(fileno=descriptor) as connection:
        while True:
            request, descriptors, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 3)
            _reap()
            if not request:
                return
            if os.fork() == 0:
                connection.close()
                _watch(json.loads(request), *descriptors)
            for each in descriptors:
                os.close(each)


def _parse(command: Any, parent: Any) -> None:
    """Let typer parse a command and its subcommands without running them: it loads pydantic for the first one."""
    with contextlib.suppress(typer.Exit, Exception):  # most lack an argument
        parent = command.make_context(command.name, [], parent=parent)
    for each in getattr(command, "commands", {}).values():
        _parse(each, parent)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watch(request: dict[str, object], out: int, err: int, status: int) -> None:
    """Run a command in a child, write its process id and its exit code, and end."""
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _become(request, out, err)
    os.write(status, f"{pid}\n".encode())
    _, ended = os.waitpid(pid, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _become(request: dict[str, object], out: int, err: int) -> None:
    """Run a command in this process, and end it as the interpreter does."""
    from mercato.cli.__main__ import main

    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    environ = request["environ"]
    assert isinstance(environ, dict)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(str(request["cwd"]))
    arguments = request["arguments"]
    assert isinstance(arguments, list)
    sys.argv = ["mercato", *arguments]
    sys.exit(main())
