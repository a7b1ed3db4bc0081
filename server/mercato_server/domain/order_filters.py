"""The conditions of a list of all orders."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mercato_server.domain.orders import STORED, OrderStatus

STATUSES_MAX = len(STORED)
NUMBER_TEXT_MAX = 40
"""Characters of a number as a person types it, with hyphens and spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """The conditions that each order of a list fits; None, or no status, is no condition."""

    number: str | None = None
    account_id: UUID | None = None
    contact_email: str | None = None
    """In its canonical form."""
    product_id: UUID | None = None
    statuses: tuple[OrderStatus, ...] = ()
    """One of them."""
    start_time: datetime | None = None
    """Placed at this time or later."""
    end_time: datetime | None = None
    """Placed before this time."""
    min_total_minor: int | None = None
    max_total_minor: int | None = None

    @property
    def query(self) -> str:
        """A text that represents the conditions in page tokens.

        For the conditions of the release before it is the text of that release, so that its tokens stay valid in an upgrade.
        """
        status = self.statuses[0] if len(self.statuses) == 1 else None
        names = ("number", "contact_email", "product_id", "start_time", "end_time", "min_total_minor", "max_total_minor")
        more = [f"{name}={value!r}" for name in names if (value := getattr(self, name)) is not None]
        more += [str(each) for each in self.statuses if status is None]
        return " ".join(["all orders", str(self.account_id), str(status), *more])
