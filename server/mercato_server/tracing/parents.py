"""The trace of a caller: the W3C header `traceparent`, and whether the caller may lead the trace of a call."""

import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

from mercato_server.config.trace_settings import Network

TRACEPARENT = "traceparent"
_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_UNUSED, _FIRST = "ff", "00"
SAMPLED = 1


class Caller(NamedTuple):
    """The span of a caller."""

    trace_id: int
    span_id: int
    sampled: bool


def caller_of(header: str) -> Caller | None:
    """Return the span that a header names; None if it is malformed (W3C Trace Context, section 3.2)."""
    found = _HEADER.fullmatch(header)
    if found is None or found[1] == _UNUSED or (found[1] == _FIRST and found[5]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    return Caller(trace_id, span_id, bool(int(found[4], 16) & SAMPLED)) if trace_id and span_id else None


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an IP address belongs to one of the networks."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in networks)
