"""Notes of administrators about orders."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.errors import Code, MercatoError

NOTE_TEXT_MAX = 2_000
"""Characters; the table has the same limit."""
NOTES_MAX = 1_000
"""Notes of an order."""


class OrderNote(NamedTuple):
    """A note. The fields have the order of the columns."""

    id: UUID
    order_id: UUID
    text: str
    actor_id: UUID
    """The administrator."""
    created_at: datetime


class OrderNoteLimit(MercatoError):
    """The order has as many notes as it may have."""

    code, reason = Code.FAILED_PRECONDITION, "ORDER_NOTE_LIMIT"

    def __init__(self) -> None:
        super().__init__("an order may have {limit} notes", limit=NOTES_MAX)
