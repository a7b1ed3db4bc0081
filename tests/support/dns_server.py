"""A server of the DNS protocol (RFC 1035) that answers A queries for one name over UDP, with addresses that a test may change."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

A, IN = 1, 1
RESPONSE = 0x8180
"""Flags of an answer: response, recursion desired and available, no error. Other names get the same without addresses."""
MESSAGE_BYTES = 512
TTL_S = 0


@dataclass
class Names:
    """The name, its addresses now, and the port of the server."""

    name: str
    addresses: list[str]
    port: int

    def answer(self, query: bytes) -> bytes:
        """Return the answer to a query with one question."""
        number, _, _ = struct.unpack_from("!HHH", query)
        labels, end = [], 12
        while length := query[end]:
            labels.append(query[end + 1 : end + 1 + length].decode())
            end += 1 + length
        (kind,) = struct.unpack_from("!H", query, end + 1)
        addresses = self.addresses if kind == A and ".".join(labels) == self.name else []
        head = struct.pack("!HHHHHH", number, RESPONSE, 1, len(addresses), 0, 0)
        # 0xC00C points to the name of the question.
        records = [struct.pack("!HHHIH", 0xC00C, A, IN, TTL_S, 4) + socket.inet_aton(address) for address in addresses]
        return head + query[12 : end + 5] + b"".join(records)


@contextmanager
def dns_server(name: str, *addresses: str) -> Iterator[Names]:
    """Serve a name on a free port of 127.0.0.1 during a block."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        names = Names(name, list(addresses), endpoint.getsockname()[1])

        def serve() -> None:
            while True:
                query, client = endpoint.recvfrom(MESSAGE_BYTES)
                if not query:
                    return
                endpoint.sendto(names.answer(query), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield names
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"", ("127.0.0.1", names.port))
            thread.join()
