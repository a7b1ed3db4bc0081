"""Run Varnish in front of an edge, with the configuration of docs/edge.md."""

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

VARNISHD = shutil.which("varnishd") or shutil.which("varnishd", path="/usr/sbin")
HOST = "127.0.0.1"
START_S = 60.0
"""Varnish compiles its configuration."""
_PAGE = Path(__file__).parent.parent / "docs/edge.md"
_VCL = re.compile(r"^```vcl\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@contextmanager
def varnish(edge_port: int) -> Iterator[tuple[int, int]]:
    """Yield the port of a Varnish and the id of its first process; raises RuntimeError if it does not start or ends with an error."""
    [vcl] = _VCL.findall(_PAGE.read_text())
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mercato-varnish-") as directory:
        config = Path(directory) / "mercato.vcl"
        config.write_text(vcl.replace('"8080"', f'"{edge_port}"'))
        options = ["-F", "-j", "none", "-n", f"{directory}/run", "-a", f"{HOST}:{port}", "-f", str(config), "-s", "malloc,16m"]
        process = subprocess.Popen([str(VARNISHD), *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _wait_until_open(process, port)
            yield port, process.pid
        finally:
            process.terminate()
            _, complaints = process.communicate()
            if process.returncode:
                raise RuntimeError(f"varnishd ended with {process.returncode}: {complaints}")


def _wait_until_open(process: "subprocess.Popen[str]", port: int) -> None:
    """Wait until the port is open; raises RuntimeError if the process ends before, or takes too long."""
    ends = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("varnishd does not listen")
