"""The RPCs of OrderService for the notes of administrators."""

from mercato.v1 import order_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.order_notes import NOTE_TEXT_MAX, OrderNote
from mercato_server.handlers import convert
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.store import order_notes
from mercato_server.validation.checks import Checks


class OrderNoteHandler:
    """Adds notes to orders, and lists them."""

    def __init__(self, pool: "Pool", pager: Pager, keys: Idempotency) -> None:
        self._pool = pool
        self._pager = pager
        self._idempotency = keys

    async def CreateOrderNote(self, request: order_pb2.CreateOrderNoteRequest, context: Context) -> Answer:
        """Add a note to an order."""
        with Checks() as check:
            order_id = check.uuid("order_id", request.order_id)
            text = check.text("text", request.text, shortest=1, longest=NOTE_TEXT_MAX)
        key = self._idempotency.key(context, request, _note)
        return answer(context, await order_notes.create(self._pool, order_id, text, context.actor, key), _note)

    async def ListOrderNotes(self, request: order_pb2.ListOrderNotesRequest, _context: Context) -> Answer:
        """List the notes of an order."""
        with Checks() as check:
            self._pager.check(check, request)
            order_id = check.uuid("order_id", request.order_id)
        query = f"notes of {order_id}"
        page = self._pager.page(request, query)
        return await self._pager.answer(
            page, query, lambda page: order_notes.notes(self._pool, order_id, page), _note, order_pb2.ListOrderNotesResponse
        )


def _note(found: OrderNote) -> order_pb2.OrderNote:
    return order_pb2.OrderNote(
        id=str(found.id),
        order_id=str(found.order_id),
        text=found.text,
        actor_id=str(found.actor_id),
        create_time=convert.timestamp(found.created_at),
    )
