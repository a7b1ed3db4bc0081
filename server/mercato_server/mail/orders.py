"""The mails that orders cause: a consumer of the change feed."""

from datetime import datetime

from mercato_server.database.pool import Conn
from mercato_server.domain.events import ConsumerName
from mercato_server.feed.consumers import Consumer
from mercato_server.store import order_mails


async def _miss(_conn: "Conn", _since: datetime) -> None:
    """Make up for nothing: what has been swept from the feed is older than a mail about it is worth."""


ORDER_MAILS = Consumer(name=ConsumerName.ORDER_MAILS, kinds=order_mails.KINDS, handle=order_mails.queue, on_gap=_miss)
