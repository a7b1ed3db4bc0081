"""Calls of Patroni's REST API, as an operator makes them."""

import asyncio
import http.client
import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from ha.network import PATRONI
from support.patience import patient

ASK_S = 2.0
"""Time limit of a question that is asked again: Patroni answers within milliseconds, unless it is frozen."""
SWITCH_S = 60.0


async def led_timeline(host: str) -> int:
    """Return the timeline on which a machine is the leader; 0 if it is none, or does not answer."""
    try:
        return int((await _call(host, "/primary", timeout_s=ASK_S)).get("timeline", 0))  # none while its PostgreSQL does not answer
    except OSError:
        return 0


async def is_complete(host: str, size: int) -> bool:
    """Return whether the leader is followed by all others, of which one is synchronous if the cluster is."""
    try:
        cluster, config = await asyncio.gather(*(_call(host, path, timeout_s=ASK_S) for path in ("/cluster", "/config")))
    except OSError:
        return False
    roles = sorted(member["role"] for member in cluster["members"])
    wanted = ["leader", "replica", "sync_standby" if config["synchronous_mode"] else "replica"]
    return roles == wanted and len(roles) == size and _stream(cluster["members"])


def _stream(members: list[dict[str, Any]]) -> bool:
    """Return whether all standbys receive the timeline of the leader."""
    one_timeline = len({member.get("timeline") for member in members}) == 1
    return one_timeline and all(member["state"] == "streaming" for member in members if member["role"] != "leader")


async def switch_over(host: str, leader: str) -> None:
    """Let the leader hand over to a standby; raises OSError if no standby takes over."""
    await _call(host, "/switchover", "POST", {"leader": leader}, timeout_s=SWITCH_S)


async def configure(host: str, settings: Mapping[str, object]) -> None:
    """Change settings of the cluster."""
    await _call(host, "/config", "PATCH", settings)


async def setting(host: str, name: str) -> object:
    """Return a setting of the cluster."""
    return (await _call(host, "/config")).get(name)


async def synchronous_standby(host: str) -> str:
    """Return the name of the machine that has each transaction before its commit is answered."""
    [name] = [member["name"] for member in (await _call(host, "/cluster"))["members"] if member["role"] == "sync_standby"]
    return str(name)


async def _call(
    host: str, path: str, method: str = "GET", body: Mapping[str, object] | None = None, *, timeout_s: float | None = None
) -> dict[str, Any]:
    """Return the answer; raises OSError, also for an error of HTTP. Without a time limit, this has the patience of a test."""

    def call() -> bytes:
        request = urllib.request.Request(f"http://{host}:{PATRONI}{path}", json.dumps(body).encode() if body else None, method=method)
        with urllib.request.urlopen(request, timeout=timeout_s or patient()) as response:  # noqa: S310 - the scheme is in the line above
            try:
                return bytes(response.read())
            except http.client.HTTPException as error:
                raise ConnectionError(host) from error  # it died while it answered

    answer = await asyncio.to_thread(call)
    return json.loads(answer) if answer.startswith(b"{") else {}
