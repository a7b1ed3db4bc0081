"""The RPC of OrderService that shows an order to anyone who has its link."""

from uuid import UUID

from mercato.v1 import order_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.errors import OrderNotFound
from mercato_server.handlers import convert
from mercato_server.rpc.context import Context
from mercato_server.security.order_links import OrderLinks
from mercato_server.store import order_lists
from mercato_server.validation.checks import Checks

LINK_S = 180 * 24 * 60 * 60.0
"""Time from the last change of an order to the end of its link."""
HEADERS = (("referrer-policy", "no-referrer"), ("x-robots-tag", "noindex"))
"""Headers of an answer: the URL, which has the token, goes to no other site and into no index."""
NO_ORDER = UUID(int=0)
"""No order has this id. A wrong token looks for it, so that it costs the same statement as an absent order."""


class LinkedOrderHandler:
    """Shows orders for links."""

    def __init__(self, pool: "Pool", links: OrderLinks) -> None:
        self._pool = pool
        self._links = links

    async def GetLinkedOrder(self, request: order_pb2.GetLinkedOrderRequest, context: Context) -> order_pb2.Order:
        """Return the order of a link."""
        context.private = True
        context.headers += HEADERS
        order_id = Checks().uuid("order_id", request.order_id)  # a malformed one is a wrong link, and no order has its value
        wanted = order_id if self._links.verifies(order_id, request.token) else NO_ORDER
        order = await order_lists.get_recent(self._pool, wanted, LINK_S)
        if order is None:
            raise OrderNotFound(order_id)
        return convert.order(order)
