-- One checkout: the statements that store.orders.checkout runs for one buyer with an idempotency key.
--
-- Arrays of one element in the store are scalars here; rows that the store reads and sends back stay arrays in a variable.
-- The timeouts that the store sets for a caller's deadline are missing, which favours pgbench.
--
-- Variables: first, the number of the first account; clients; turn, -1 at first; key; fingerprint and response, as the bytes of the store.

\set turn :turn + 1
\set buyer :first + :clients * :turn + :client_id

BEGIN;

-- GET_ROLES; a session has its account's id
SELECT session.account_id, session.id, account.role, session.ended_at IS NULL AND session.expires_at > now() AND account.disabled_at IS NULL AS live
  FROM sessions AS session
  JOIN accounts AS account ON account.id = session.account_id
 WHERE session.id = lpad(to_hex(:buyer::bigint), 32, '0')::uuid
\gset

-- CLAIM_KEYS; an account's id is its number
INSERT INTO idempotency_keys AS stored (scope_id, key, method, fingerprint)
SELECT scope_id, key, '/mercato.v1.OrderService/Checkout', :fingerprint::bytea
  FROM (VALUES (lpad(to_hex(:buyer::bigint), 32, '0')::uuid, :key::text)) AS claim (scope_id, key)
 WHERE (SELECT count(*) FROM (SELECT FROM idempotency_keys AS live WHERE live.scope_id = claim.scope_id LIMIT 1000) AS counted) < 1000
    ON CONFLICT (scope_id, key) DO UPDATE
   SET method = excluded.method, fingerprint = excluded.fingerprint, response = NULL, created_at = now()
 WHERE stored.created_at < now() - interval '24 hours'
RETURNING scope_id AS account_id
\gset

-- LOCK_CARTS
WITH buyer AS MATERIALIZED (
    SELECT id AS account_id, email_verified_at IS NOT NULL AS verified
      FROM accounts
     WHERE id = :account_id::uuid
       FOR NO KEY UPDATE
), wanted AS MATERIALIZED (
    SELECT product_id, quantity, unit_price_minor
      FROM cart_items
     WHERE account_id = ANY(ARRAY(SELECT account_id FROM buyer))
     ORDER BY product_id
       FOR UPDATE
), locked AS MATERIALIZED (
    SELECT product_id, on_hand
      FROM stock_levels
     WHERE product_id = ANY(ARRAY(SELECT product_id FROM wanted)) AND location_id = 1
     ORDER BY product_id
       FOR NO KEY UPDATE
)
SELECT array_agg(product_id ORDER BY product_id) AS products, array_agg(quantity ORDER BY product_id) AS quantities,
       array_agg(unit_price_minor ORDER BY product_id) AS added_prices, bool_and(on_hand >= quantity) AS stocked
  FROM wanted
  JOIN locked USING (product_id)
\gset

-- GET_PRODUCTS, with the decision that the store makes in Python
SELECT array_agg(name ORDER BY id) AS names, array_agg(price_minor ORDER BY id) AS prices, sum(price_minor * quantity)::bigint AS total,
       :stocked::boolean AND bool_and(deleted_at IS NULL) AS served
  FROM products
  JOIN unnest(:products::uuid[], :quantities::integer[]) AS line (product_id, quantity) ON product_id = id
 WHERE id = ANY(:products::uuid[])
\gset

\if :served

-- PLACE_ORDERS
WITH wanted AS (
    SELECT account_id, (SELECT count(*)
                          FROM (SELECT
                                  FROM orders AS open
                                 WHERE open.account_id = buyer.account_id AND open.status = 'placed'
                                 LIMIT 10000) AS counted) < 10000 AS has_room
      FROM (VALUES (:account_id::uuid)) AS buyer (account_id)
), placed AS (
    INSERT INTO orders (account_id, status, currency_code, total_minor, idempotency_key, payment_due_at)
    SELECT account_id, 'placed', 'USD', :total::bigint, :key::text, NULL
      FROM wanted
     WHERE has_room
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, account_id, created_at
), line AS (
    SELECT placed.id AS order_id, account_id, product_id, product_name, unit_price_minor, quantity
      FROM unnest(:products::uuid[], :names::text[], :prices::bigint[], :quantities::integer[])
           AS line (product_id, product_name, unit_price_minor, quantity), placed
), lines AS (
    INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
    SELECT order_id, product_id, product_name, unit_price_minor, 'USD', quantity FROM line
), history AS (
    INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
    SELECT id, 1, 'placed', 'buyer', account_id, '' FROM placed
), cart AS (
    DELETE FROM cart_items AS item
     USING line
     WHERE item.account_id = line.account_id AND item.product_id = line.product_id
), booked AS (
    INSERT INTO stock_ledger (product_id, order_id, kind, delta)
    SELECT product_id, order_id, 'sale', -quantity FROM line
), sold AS (
    UPDATE stock_levels AS level
       SET on_hand = level.on_hand - line.quantity, version = level.version + 1, updated_at = now()
      FROM line
     WHERE level.product_id = line.product_id AND level.location_id = 1
    RETURNING level.product_id
), happened AS (
    INSERT INTO events (kind, subject_id, payload)
    SELECT 'order.placed', id, jsonb_build_object('account_id', account_id) FROM placed
     UNION ALL
    SELECT 'stock.changed', product_id, '{}' FROM sold
)
SELECT id, account_id, created_at FROM placed;

-- STORE_RESPONSES
UPDATE idempotency_keys
   SET response = :response::bytea
 WHERE scope_id = :account_id::uuid AND key = :key::text;

-- GET_TRANSACTION_ID
SELECT pg_current_xact_id_if_assigned()::text;

COMMIT;

\else

ROLLBACK;

\endif
