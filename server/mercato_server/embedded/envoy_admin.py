"""Requests to the admin page of Envoy."""

import asyncio
import contextlib
import re
from dataclasses import dataclass

ACTIVE_CALLS = "http.edge.downstream_rq_active"
ANSWER_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The address of an admin page of Envoy: a Unix socket, or a host and a port."""

    path: str | None = None
    host: str | None = None
    port: int | None = None

    async def is_live(self, epoch: int) -> bool:
        """Return whether the epoch that answers is this one, and takes connections."""
        with contextlib.suppress(OSError, TimeoutError):
            lines = await self.ask("GET", r"/stats?filter=^server\.(state|hot_restart_epoch)$")
            return "server.state: 0" in lines and f"server.hot_restart_epoch: {epoch}" in lines
        return False

    async def is_idle(self) -> bool:
        """Return whether no call of a client runs; raises OSError or TimeoutError if Envoy does not answer."""
        lines = await self.ask("GET", rf"/stats?filter=^{re.escape(ACTIVE_CALLS)}$")
        return f"{ACTIVE_CALLS}: 0" in lines

    async def ask(self, method: str, target: str) -> list[str]:
        """Return the lines of an answer; raises OSError or TimeoutError if there is none."""
        async with asyncio.timeout(ANSWER_S):
            opened = asyncio.open_unix_connection(self.path) if self.path else asyncio.open_connection(self.host, self.port)
            reader, writer = await opened
            try:
                writer.write(f"{method} {target} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
                return (await reader.read()).decode(errors="replace").splitlines()
            finally:
                writer.close()
