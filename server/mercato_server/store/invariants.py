"""The invariants of the shop, each a query that returns the rows that violate it.

A query that takes ids returns only violations of these rows; NULL stands for all rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from mercato_server.domain.order_statuses import TRANSITIONS
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.store.category_invariants import (
    WRONG_LISTINGS,
    WRONG_RECENT_LISTINGS,
    WRONG_RECENT_SLUGS,
    WRONG_SLUGS,
    WRONG_TREE,
)
from mercato_server.store.erasure_invariants import KEPT_OF_ACCOUNTS, KEPT_OF_ORDERS
from mercato_server.store.group_invariants import (
    GET_RECENT_OPTIONS,
    REPEATED_OPTIONS,
    WRONG_GROUPS,
    WRONG_REPRESENTATIVES,
    has_right_options,
)
from mercato_server.store.guest_invariants import WRONG_GUESTS
from mercato_server.store.order_invariants import WRONG_EXPIRIES, WRONG_SALES, WRONG_STATES, WRONG_STATUSES
from mercato_server.store.payment_invariants import (
    FORGOTTEN_REQUESTS,
    KEPT_MONEY,
    LATE_EVENTS,
    LATE_REQUESTS,
    REPEATED_PAYMENTS,
    WRONG_MOVEMENTS,
    WRONG_PAYMENTS,
    WRONG_RECENT_REFERENCES,
    WRONG_REFERENCES,
    WRONG_REFUNDS,
)
from mercato_server.store.picture_invariants import FORGOTTEN_PICTURES, STRANDED_UPLOADS, WRONG_PICTURES
from mercato_server.store.price_invariants import WRONG_DISCOUNTS, WRONG_LINE_TAXES, WRONG_REDEMPTIONS, WRONG_TAXES, WRONG_TOTALS
from mercato_server.store.promotion_invariants import WRONG_BUYERS, WRONG_CODES, WRONG_PROMOTIONS
from mercato_server.store.recomputed_prices import GET_PRICED_ORDERS
from mercato_server.store.search_documents import CATEGORY_IDS, is_right
from mercato_server.store.unit_invariants import WRONG_PARCELS, WRONG_RESTOCKS, WRONG_UNITS

WRONG_STOCK = """
SELECT coalesce(product.id, ledger.product_id) AS product_id, level.units AS stock, coalesce(ledger.units, 0) AS ledger
  FROM products AS product
  LEFT JOIN (SELECT product_id, sum(on_hand) AS units, min(on_hand) AS least
               FROM stock_levels
              GROUP BY product_id) AS level ON level.product_id = product.id
  FULL JOIN (SELECT product_id, sum(delta) AS units
               FROM stock_ledger
              GROUP BY product_id) AS ledger ON ledger.product_id = product.id
 WHERE level.units IS DISTINCT FROM coalesce(ledger.units, 0)  -- also if there is no level, or no product
    OR level.least < 0
"""

REPEATED_KEYS = """
SELECT account_id, idempotency_key, count(*) AS orders
  FROM orders
 WHERE idempotency_key IS NOT NULL
 GROUP BY account_id, idempotency_key
HAVING count(*) > 1
"""

RECENTLY_REPEATED_KEYS = """
SELECT account_id, idempotency_key, count(*) AS orders
  FROM unnest($1::uuid[], $2::text[]) AS touched (scope_id, key)
  JOIN orders ON account_id = scope_id AND idempotency_key = key
 GROUP BY account_id, idempotency_key
HAVING count(*) > 1
"""

# A key that is stored was claimed in the transaction of its order, so both have one created_at. An order outlives its key, which may be
# swept, or taken by another call, after a day; the hour of margin is for a sweep whose clock is ahead of this snapshot's.
_COMPARE_KEYS = """
    ON placed.account_id = stored.scope_id AND placed.idempotency_key = stored.key AND placed.created_at = stored.created_at
 WHERE CASE
       WHEN stored.key IS NULL THEN placed.created_at > now() - interval '23 hours'
       WHEN placed.id IS NULL OR stored.response IS NULL THEN true
       ELSE position(convert_to(placed.id::text, 'UTF8') IN stored.response) = 0  -- the answer is another order's
       END
"""

_SELECT_KEYS = """
SELECT coalesce(stored.scope_id, placed.account_id) AS account_id, coalesce(stored.key, placed.idempotency_key) AS idempotency_key,
       stored.method, placed.id AS order_id
"""

_ALL_KEYS = """
  FROM (SELECT scope_id, key, method, response, created_at
          FROM idempotency_keys
         WHERE method = '/mercato.v1.OrderService/Checkout' OR response IS NULL) AS stored
  FULL JOIN (SELECT id, account_id, idempotency_key, created_at
               FROM orders
              WHERE idempotency_key IS NOT NULL) AS placed
"""

_RECENT_KEYS = """
  FROM (SELECT scope_id, key, method, response, created_at
          FROM unnest($1::uuid[], $2::text[]) AS touched (scope_id, key)
          JOIN idempotency_keys USING (scope_id, key)
         WHERE method = '/mercato.v1.OrderService/Checkout' OR response IS NULL) AS stored
  FULL JOIN (SELECT id, account_id, idempotency_key, created_at
               FROM unnest($1, $2) AS touched (scope_id, key)
               JOIN orders ON account_id = scope_id AND idempotency_key = key) AS placed
"""

WRONG_KEYS = _SELECT_KEYS + _ALL_KEYS + _COMPARE_KEYS

WRONG_RECENT_KEYS = _SELECT_KEYS + _RECENT_KEYS + _COMPARE_KEYS

# Per order, the expected events are subtracted from the written ones by summing hashes of their kinds, which is fast.
# Both sides of the window have one created_at, that of their transaction; the sweep's own window is an hour longer.
WRONG_EVENTS = """
SELECT order_id
  FROM (SELECT subject_id AS order_id, hashtext(kind) AS kind
          FROM events
         WHERE kind LIKE 'order.%' AND created_at > now() - interval '6 days 23 hours'
         UNION ALL
        SELECT id, -hashtext('order.placed')
          FROM orders
         WHERE created_at > now() - interval '6 days 23 hours'
         UNION ALL
        SELECT order_id, -hashtext('order.' || status)
          FROM order_history
         WHERE version > 1 AND created_at > now() - interval '6 days 23 hours') AS happened
 GROUP BY order_id
HAVING sum(kind) <> 0
"""

# Covers some transactions only: the same one writes an event and the step that it reports. WRONG_STATES finds orders without a first step.
WRONG_RECENT_EVENTS = """
SELECT order_id
  FROM (SELECT subject_id AS order_id, hashtext(kind) AS kind
          FROM events
         WHERE kind LIKE 'order.%' AND xid >= $1::text::xid8
         UNION ALL
        SELECT order_id, -hashtext('order.' || status)
          FROM order_history
         WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))) AS happened
 GROUP BY order_id
HAVING sum(kind) <> 0
"""

WRONG_SESSIONS = """
SELECT session.id AS session_id, count(token.digest) AS live_tokens, account.disabled_at
  FROM sessions AS session
  JOIN accounts AS account ON account.id = session.account_id
  LEFT JOIN refresh_tokens AS token ON token.session_id = session.id AND token.used_at IS NULL
 WHERE session.ended_at IS NULL AND session.expires_at > now()
 GROUP BY session.id, account.disabled_at
HAVING count(token.digest) > 1 OR account.disabled_at IS NOT NULL
"""

WRONG_LINES = """
SELECT 'cart' AS place, account_id AS owner_id, product_id, quantity
  FROM cart_items
 WHERE ($1::uuid[] IS NULL OR age(xmin) <= (SELECT age($2::text::xid8::xid)))
   AND (quantity < 1 OR NOT EXISTS (SELECT FROM accounts WHERE id = account_id))
 UNION ALL
SELECT 'order', order_id, product_id, quantity
  FROM order_items
 WHERE ($1 IS NULL OR order_id = ANY($1))
   AND (quantity < 1 OR currency_code NOT IN (SELECT currency_code FROM shop))
"""

# A mail and its job are written together, and a lost job is queued again within a minute or so.
STRANDED_MAILS = """
SELECT mail.id AS mail_id, mail.template, mail.created_at
  FROM mails AS mail
 WHERE mail.sent_at IS NULL AND mail.failure IS NULL AND mail.dropped_at IS NULL AND mail.created_at < now() - interval '10 minutes'
   AND NOT EXISTS (SELECT
                     FROM pgqueuer AS job
                    WHERE job.entrypoint = 'mail' AND job.payload = uuid_send(mail.id) AND job.status IN ('queued', 'picked'))
"""

WRONG_DOCUMENTS = f"""
SELECT product.id AS product_id, product.deleted_at, document.rule_version
  FROM products AS product
  LEFT JOIN (SELECT product_id, number, rule_version, price_minor, name AS title, category_ids
               FROM product_search
              WHERE locale = '') AS document ON document.product_id = product.id
  LEFT JOIN (SELECT id AS own_id, ancestors FROM categories) AS category ON own_id = product.category_id
 WHERE CASE
       WHEN deleted_at IS NOT NULL THEN document.product_id IS NOT NULL
       ELSE (document.number, document.price_minor, title, category_ids)
            IS DISTINCT FROM (product.number, product.price_minor, product.name, {CATEGORY_IDS} || coalesce(ancestors, '{{}}'))
       END
"""  # noqa: S608 - constants

WRONG_RECENT_DOCUMENTS = f"""{WRONG_DOCUMENTS}
   AND product.id IN (SELECT id FROM products WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
                       UNION
                      SELECT product_id FROM product_search WHERE age(xmin) <= (SELECT age($1::text::xid8::xid)))
"""  # noqa: S608 - constants

# The words of the newest changes only, because making them takes up to 100 µs a product. The renewal of a rule updates documents of
# older rules.
GET_RECENT_WORDS = f"""
SELECT product_id, product.name, description, sku, words::text AS words, vocabulary, product.name_key, document.name_key AS document_key
  FROM (SELECT id, name, name_key, description, sku, xmin AS writer
          FROM products
         WHERE deleted_at IS NULL AND updated_at > now() - interval '1 day'
         ORDER BY updated_at DESC
         LIMIT 10000) AS product
  JOIN product_search AS document ON product_id = id
 WHERE locale = '' AND rule_version = {RULE_VERSION} AND document.name = product.name
   AND ($1::text IS NULL OR least(age(document.xmin), age(writer)) <= (SELECT age($1::text::xid8::xid)))
"""  # noqa: S608 - constants

_COUNTED = "SELECT word, count(*) AS products FROM product_search, unnest(vocabulary) AS word WHERE locale = '' {} GROUP BY word"
WRONG_VOCABULARY = f"""
SELECT word, known.products, coalesce(counted.products, 0) AS counted
  FROM search_words AS known
  FULL JOIN ({_COUNTED.format("")}) AS counted USING (word)
 WHERE known.products IS DISTINCT FROM coalesce(counted.products, 0)
"""  # noqa: S608 - constants

WRONG_RECENT_VOCABULARY = f"""
WITH known AS MATERIALIZED (
    SELECT word, products FROM search_words WHERE age(xmin) <= (SELECT age($1::text::xid8::xid))
)
SELECT word, known.products, coalesce(counted.products, 0) AS counted
  FROM known
  LEFT JOIN ({_COUNTED.format("AND EXISTS (SELECT FROM known)")}) AS counted USING (word)
 WHERE known.products <> coalesce(counted.products, 0)
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows that a pass checks: all, or those that transactions from `since` on have written."""

    since: str | None = None
    orders: list[UUID] | None = None
    keys: tuple[list[UUID], list[str]] = ([], [])
    """Scopes and keys, pair by pair."""


def _nothing(_: Scope) -> tuple[object, ...]:
    return ()


def _orders(scope: Scope) -> tuple[object, ...]:
    return (scope.orders,)


def _keys(scope: Scope) -> tuple[object, ...]:
    return scope.keys


def _orders_and_line(scope: Scope) -> tuple[object, ...]:
    return (scope.orders, scope.since)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that returns violating rows, their ids first, and its arguments."""

    statement: str
    arguments: Callable[[Scope], tuple[object, ...]] = _nothing
    merges: bool = False
    """Whether merge joins are cheaper than the planner's choice, hash joins: its tables are stored in the order of its keys."""
    holds: Callable[[asyncpg.Record], bool] | None = None
    """Whether a row does not violate the invariant after all, where SQL cannot tell."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """A condition that always holds for the shop's data."""

    name: str
    description: str
    query: Query
    recent: Query | None = None
    """The query for rows that were written since an earlier pass, if it is another one."""


def _paths(*path: OrderStatus) -> Iterator[str]:
    """Yield the sequences of states that begin with `path` and enter no state twice."""
    yield ">".join(path)
    for before, after in TRANSITIONS:
        if before is path[-1] and after not in path:
            yield from _paths(*path, after)


_PATHS = list(_paths(OrderStatus.PLACED))
_STEPS = [f">{OrderStatus.PLACED}", *(f"{before}>{after}" for before, after in TRANSITIONS)]

INVARIANTS = (
    Invariant("stock", "the stock of a product is the sum of its ledger, and not negative", Query(WRONG_STOCK)),
    Invariant("sales", "the sales in the ledger are the lines of the orders", Query(WRONG_SALES, _orders, merges=True)),
    Invariant("restocks", "cancelled units, and returned ones that can be sold, are put back once", Query(WRONG_RESTOCKS, _orders)),
    Invariant(
        "totals",
        "an order has lines, a line has an order, and what they and the delivery cost is its total",
        Query(WRONG_TOTALS, _orders, merges=True),
    ),
    Invariant("discounts", "what is taken off a line or a delivery is what promotions give to it", Query(WRONG_DISCOUNTS, _orders)),
    Invariant("line taxes", "the tax of a line is its rate of what is left of its price", Query(WRONG_LINE_TAXES, _orders)),
    Invariant("taxes", "the taxes by rate are those of the lines and of the delivery", Query(WRONG_TAXES, _orders)),
    Invariant(
        "redemptions",
        "what promotions give to an order is redeemed once, and released with its cancellation",
        Query(WRONG_REDEMPTIONS, _orders),
    ),
    Invariant(
        "one order per key",
        "an account has one order per idempotency key",
        Query(REPEATED_KEYS),
        Query(RECENTLY_REPEATED_KEYS, _keys),
    ),
    Invariant(
        "stored keys",
        "a checkout's stored key has its answer and its order, and the order its key",
        Query(WRONG_KEYS),
        Query(WRONG_RECENT_KEYS, _keys),
    ),
    Invariant(
        "events",
        "placing an order and each change of its state has one event",
        Query(WRONG_EVENTS),
        Query(WRONG_RECENT_EVENTS, lambda scope: (scope.since,)),
    ),
    Invariant(
        "states",
        "an order went only where it may go, step by step",
        Query(WRONG_STATES, lambda scope: (scope.orders, _PATHS, _STEPS), merges=True),
    ),
    Invariant(
        "expiries",
        "workers cancel an order when it is overdue or not paid any more, and no other",
        Query(WRONG_EXPIRIES, _orders, merges=True),
    ),
    Invariant("sessions", "a session has one live refresh token at most, and a disabled account no session", Query(WRONG_SESSIONS)),
    Invariant("guests", "a guest has neither a login nor a full session, and each other account has a login", Query(WRONG_GUESTS)),
    Invariant("erased accounts", "an erased account holds nothing of its owner, and nothing refers back", Query(KEPT_OF_ACCOUNTS)),
    Invariant("erased orders", "an order of an erased buyer is erased, and holds nothing of the buyer", Query(KEPT_OF_ORDERS, _orders)),
    Invariant(
        "lines",
        "cart lines belong to accounts, no line has less than one unit, and order lines have the shop's currency",
        Query(WRONG_LINES, _orders_and_line),
    ),
    Invariant("due mails", "a mail that is still to be sent has a job that will run", Query(STRANDED_MAILS)),
    Invariant(
        "search",
        "a product on sale, and no other, has its search document",
        Query(WRONG_DOCUMENTS, merges=True),
        Query(WRONG_RECENT_DOCUMENTS, lambda scope: (scope.since,)),
    ),
    Invariant(
        "search words", "a document has the words of its product", Query(GET_RECENT_WORDS, lambda scope: (scope.since,), holds=is_right)
    ),
    Invariant(
        "vocabulary",
        "a word of the search counts the products that have it in their names",
        Query(WRONG_VOCABULARY),
        Query(WRONG_RECENT_VOCABULARY, lambda scope: (scope.since,)),
    ),
    Invariant("groups", "a group counts its variants on sale, and has the range of their prices", Query(WRONG_GROUPS)),
    Invariant(
        "representatives", "the cheapest variant on sale of a group, and no other of its variants, is listed", Query(WRONG_REPRESENTATIVES)
    ),
    Invariant("options", "no two variants on sale of a group have the same options", Query(REPEATED_OPTIONS)),
    Invariant(
        "options of variants",
        "a variant has the options of its group, and their folded form and text are made of them",
        Query(GET_RECENT_OPTIONS, lambda scope: (scope.since,), holds=has_right_options),
    ),
    Invariant("promotions", "a promotion counts its uses, within its limit, and its codes", Query(WRONG_PROMOTIONS)),
    Invariant("category tree", "no category is below itself, and each knows the categories above it", Query(WRONG_TREE)),
    Invariant(
        "category listings",
        "a category lists the products on sale in its subcategories",
        Query(WRONG_LISTINGS),
        Query(WRONG_RECENT_LISTINGS, lambda scope: (scope.since,)),
    ),
    Invariant(
        "slugs",
        "a slug has one live holder, which shows it",
        Query(WRONG_SLUGS),
        Query(WRONG_RECENT_SLUGS, lambda scope: (scope.since,)),
    ),
    Invariant("promotion codes", "a code counts its uses, within its limit", Query(WRONG_CODES)),
    Invariant("promotion buyers", "a promotion that limits its buyers counts the uses of each", Query(WRONG_BUYERS)),
    Invariant("statuses", "the statuses of an order follow from its money and units", Query(WRONG_STATUSES, _orders, merges=True)),
    Invariant(
        "units",
        "a line counts the units of its shipments and returns, and what refunds give back",
        Query(WRONG_UNITS, _orders, merges=True),
    ),
    Invariant("parcels", "a shipment that waits has units that can be shipped", Query(WRONG_PARCELS, _orders)),
    Invariant(
        "payments",
        "the amounts of a payment are the sums of its ledger and of its open refunds",
        Query(WRONG_PAYMENTS, _orders, merges=True),
    ),
    Invariant("movements", "a movement of money takes back no more than an earlier one has moved", Query(WRONG_MOVEMENTS, _orders)),
    Invariant("one live payment", "an order has one live payment at most", Query(REPEATED_PAYMENTS, _orders)),
    Invariant("refunds", "a payment's refunds are within its money, and their lines within their amounts", Query(WRONG_REFUNDS, _orders)),
    Invariant("kept money", "a cancelled order keeps no money, unless a refund has failed", Query(KEPT_MONEY, _orders)),
    Invariant("due requests", "a request to a provider is settled within an hour", Query(LATE_REQUESTS)),
    Invariant(
        "awaited answers", "a payment, refund or shipment that waits for an answer has a request", Query(FORGOTTEN_REQUESTS, _orders)
    ),
    Invariant("due notices", "a provider's notice is applied or quarantined within an hour", Query(LATE_EVENTS)),
    Invariant(
        "stored payments",
        "the stored key of a call that changes a payment names the payment or refund",
        Query(WRONG_REFERENCES),
        Query(WRONG_RECENT_REFERENCES, _keys),
    ),
    Invariant("pictures", "a product repeats the pictures that it shows, and each is there", Query(WRONG_PICTURES)),
    Invariant("unused pictures", "a picture that no product shows counts as unused", Query(FORGOTTEN_PICTURES)),
    Invariant("due pictures", "an upload that is still to be verified has a job that will run", Query(STRANDED_UPLOADS)),
)

PRICES = Invariant(
    "prices", "the rules of prices, applied to what an order keeps, give its price", Query(GET_PRICED_ORDERS, lambda scope: (scope.orders,))
)
"""Checked on request only: it is no query of violations, because the domain recomputes each order."""
