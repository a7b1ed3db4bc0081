"""The right to see what belongs to an order."""

from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import Role
from mercato_server.domain.errors import OrderNotFound
from mercato_server.rpc.context import Context
from mercato_server.security.session_cache import Sessions
from mercato_server.store import order_states


class OrderRights:
    """Tells who may see an order: its owner, and administrators."""

    def __init__(self, pool: "Pool", known: Sessions) -> None:
        self._pool = pool
        self._known = known

    async def require(self, context: Context, order_id: UUID) -> None:
        """Raise OrderNotFound unless the caller may see an order."""
        owner_id = await order_states.owner(self._pool, order_id)
        if owner_id is None or (owner_id != context.account_id and await self._known.role(context.identity) is not Role.ADMIN):
            raise OrderNotFound(order_id)
