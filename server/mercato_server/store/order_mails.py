"""Mails about orders. A consumer of the change feed queues them, so a checkout does no work for them."""

from collections.abc import Sequence

from mercato_server.database.pool import Conn
from mercato_server.domain.events import EventKind
from mercato_server.domain.mails import AGE_MAX_S, Template
from mercato_server.store.events import Entry

KINDS = (EventKind.ORDER_PLACED, EventKind.ORDER_CANCELLED)

QUEUE_MAILS = """
WITH news AS (
    SELECT *, replace(kind, '.', '_') AS template
      FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $5::text[]) WITH ORDINALITY
           AS event (kind, order_id, created_at, trace, number)
), mail AS (
    INSERT INTO mails (template, address, order_id)
    SELECT news.template, coalesce(placed.contact_email, account.email), placed.id
      FROM news
      JOIN orders AS placed ON placed.id = news.order_id
      JOIN accounts AS account ON account.id = placed.account_id
     WHERE news.created_at > now() - make_interval(secs => $4) AND coalesce(placed.contact_email, account.email) IS NOT NULL
       AND placed.erased_at IS NULL AND account.erased_at IS NULL
     ORDER BY news.number
       FOR KEY SHARE OF account, placed  -- an erasure waits for the mail, which it then deletes
        ON CONFLICT (order_id, template) WHERE order_id IS NOT NULL DO NOTHING
    RETURNING id, order_id, template
)
INSERT INTO pgqueuer (priority, entrypoint, payload, dedupe_key, status, headers)
SELECT 0, 'mail', uuid_send(id), 'mail:' || id, 'queued',
       (SELECT jsonb_build_object('traceparent', trace)  -- the events of a template and an order are few
          FROM news
         WHERE news.order_id = mail.order_id AND news.template = mail.template AND trace IS NOT NULL
         LIMIT 1)
  FROM mail
"""


async def queue(conn: "Conn", news: Sequence[Entry]) -> None:
    """Queue a mail for each event of an order, at most one per order and kind, in the caller's transaction.

    Events that are older than the maximum age of such a mail get none.
    """
    kinds, orders, moments, traces = (
        [getattr(each, name) for each in news] for name in ("kind", "subject_id", "created_at", "traceparent")
    )
    await conn.execute(QUEUE_MAILS, kinds, orders, moments, AGE_MAX_S[Template.ORDER_PLACED], traces)
