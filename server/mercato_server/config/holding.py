"""Bounds of what one client can hold: connections, unread answers, streams and calls in progress."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mercato_server.config.environment import integer, one_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Bounds that the edge and the workers set to what clients hold.

    Nothing counts the calls of an address at the edge. There an address holds at most its rate limit times these seconds, which must stay
    below the capacity of one worker. Where the RPC's own deadline is longer, `calls_per_client` is the bound.
    """

    connections: int = 10_000
    """Connections of all clients to the edge; must stay below Envoy's limit of open files."""
    first_byte_s: float = 5.0
    """A connection that sends nothing for this time after it was opened is closed; TLS gets as long again for its handshake."""
    headers_s: float = 5.0
    """Time for the headers of a request."""
    request_s: float = 10.0
    """Time for a whole request that is no upload."""
    read_s: float = 5.0
    """Longest deadline that a client can set for a read, unless the RPC's own is longer."""
    command_s: float = 10.0
    """Longest deadline that a client can set for any other RPC, unless the RPC's own is longer."""
    unread_s: float = 5.0
    """Time that a client may leave an answer unread."""
    idle_s: float = 60.0
    """A connection without requests is closed after this time."""
    idle_min_s: float = 5.0
    """The same while the edge's memory is short."""
    streams_per_connection: int = 128
    pages_per_s: int = 20
    """Requests of an address for the pages under /docs, which are large."""
    notices_per_s: int = 200
    """Signed notices of an address. A service that signs them sends bursts from few addresses, and repeats those that are refused."""
    streams: int = 512
    """Health watches and reflection streams at the edge, for each worker. They do not count as calls of the worker."""
    streams_per_s: int = 10
    """New ones of an address."""
    stream_s: float = 30.0
    """Longest life of one."""
    streams_per_client: int = 8
    """Health watches and reflection streams of one client address that a worker serves at the same time."""
    reflection: bool = True
    """Whether workers describe the API to clients that ask (gRPC server reflection)."""
    reflection_requests: int = 500
    """Requests in one reflection stream."""
    reflection_requests_per_s: int = 50
    """Requests for reflection that a worker answers, from all clients."""
    uploads: int = 32
    """Uploads at the edge, for each worker."""
    uploads_per_client: int = 4
    """Uploads of one client address that a worker takes at the same time."""
    upload_s: int = 120
    """Time for a whole upload."""
    upload_idle_s: float = 10.0
    """Time for the next piece of an upload."""
    upload_pieces: int = 100_000
    """Pieces of one upload. The edge makes them as the client sends them, up to 1 MiB each."""
    calls_per_client: int = 128
    """Calls of one client address that a worker executes at the same time: an eighth of its capacity."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        return cls(
            connections=integer(env, "MERCATO_CONNECTIONS", 10_000, low=100, high=1_000_000),
            reflection=one_of(env, "MERCATO_REFLECTION", "on", ("on", "off")) == "on",
            upload_s=integer(env, "MERCATO_UPLOAD_SECONDS", 120, low=10, high=600),
            calls_per_client=integer(env, "MERCATO_CALLS_PER_CLIENT", 128, low=1, high=1_024),
        )
