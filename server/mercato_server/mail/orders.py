"""The consumer of the change feed that queues mails about orders."""

from datetime import datetime

from mercato_server.database.pool import Conn
from mercato_server.domain.events import ConsumerName
from mercato_server.feed.consumers import Consumer
from mercato_server.store import order_mails


async def _skip_gap(_conn: "Conn", _since: datetime) -> None:
    """Do nothing: events that the sweep has deleted are too old for a mail."""


ORDER_MAILS = Consumer(name=ConsumerName.ORDER_MAILS, kinds=order_mails.KINDS, handle=order_mails.queue, on_gap=_skip_gap)
