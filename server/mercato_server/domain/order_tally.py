"""The orders that one worker has placed."""

from collections.abc import Iterable
from dataclasses import dataclass

from mercato_server.domain.orders import Order


@dataclass(slots=True)
class OrderTally:
    """Counts of orders whose commit the database has confirmed. They never decrease: cancellations and refunds are counted apart."""

    orders: int = 0
    units: int = 0
    revenue_minor: int = 0
    """Sum of their totals, with delivery and tax, in minor units of the shop's currency."""

    def count(self, orders: Iterable[Order]) -> None:
        """Add orders."""
        for order in orders:
            self.orders += 1
            self.units += sum([line.quantity for line in order.lines])
            self.revenue_minor += order.total_minor
