"""The refusals of calls about accounts that are erased or are to be erased."""

from collections.abc import Sequence

from mercato_server.domain.errors import Code, MercatoError
from mercato_server.domain.messages import LISTED_MAX


class OrdersUnfinished(MercatoError):
    """Orders of the account may still need the buyer: they are not paid or not shipped, or a refund or a dispute is under way."""

    code, reason = Code.FAILED_PRECONDITION, "ORDERS_UNFINISHED"

    def __init__(self, orders: Sequence[str]) -> None:
        """Refuse an erasure because of orders, by their numbers; of many the first are named."""
        more = len(orders) > LISTED_MAX
        super().__init__(
            "orders are not finished: {orders} and more; cancel them, or wait until they have been shipped and refunded"
            if more
            else "orders are not finished: {orders}; cancel them, or wait until they have been shipped and refunded",
            orders=", ".join(orders[:LISTED_MAX]),
        )


class AccountErased(MercatoError):
    """The account has been erased; only its id and role are left."""

    code, reason = Code.FAILED_PRECONDITION, "ACCOUNT_ERASED"

    def __init__(self) -> None:
        super().__init__("the account has been erased; its owner may sign up again")
