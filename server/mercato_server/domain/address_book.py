"""The address book of an account."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.postal_addresses import PostalAddress

ADDRESSES_MAX = 50
"""Addresses of an account."""


class Address(NamedTuple):
    """An entry of an address book, as stored."""

    id: UUID
    postal_address: PostalAddress
    is_default: bool
    version: int
    """The number of writes to the address."""
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change of the address."""
        return f"{self.version:x}"
