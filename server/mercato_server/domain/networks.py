"""The networks of clients."""

import ipaddress

IPV6_BITS = 64
"""A subscriber has a whole /64."""


def network_of(address: str) -> str:
    """Return the part of an address that counts as one client, as at the edge: an IPv4 address itself, the /64 of an IPv6 address.

    Text that is no address, such as that of a Unix socket, is returned as it is.
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed), IPV6_BITS), strict=False))
