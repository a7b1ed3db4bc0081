-- One checkout: the statements that store.orders.checkout runs for one buyer with an idempotency key.
--
-- Arrays of one element in the store are scalars here; rows that the store reads and sends back stay arrays in a variable. The cart has no
-- header, and its price no parts, so the order is plain. Its number is made of its id.
-- The timeouts that the store sets for a caller's deadline are missing, which favours pgbench.
--
-- Variables: first, the number of the first account; clients; turn, -1 at first; key; fingerprint and response, as the bytes of the store.

\set turn :turn + 1
\set buyer :first + :clients * :turn + :client_id

BEGIN;
SET LOCAL plan_cache_mode = force_generic_plan;

-- LOCK_CARTS, with the decision that the store makes in Python; an account's id is its number, and its session has the same id
WITH call AS (
    SELECT lpad(to_hex(:buyer::bigint), 32, '0')::uuid AS account_id, lpad(to_hex(:buyer::bigint), 32, '0')::uuid AS session_id,
           :key::text AS key, '/mercato.v1.OrderService/Checkout' AS method, :fingerprint::bytea AS fingerprint
), caller AS MATERIALIZED (
    SELECT call.account_id, call.key, call.method, call.fingerprint,
           session.account_id = call.account_id
           AND session.ended_at IS NULL AND session.expires_at > now() AND account.disabled_at IS NULL AS is_live
      FROM call
      JOIN sessions AS session ON session.id = call.session_id
      JOIN accounts AS account ON account.id = session.account_id
), live AS (
    SELECT account_id, key, method, fingerprint FROM caller WHERE is_live
), claim AS (
    SELECT account_id AS scope_id, key, method, fingerprint, 1000 AS live_max FROM live WHERE key IS NOT NULL
), claimed AS (
    INSERT INTO idempotency_keys AS stored (scope_id, key, method, fingerprint)
    SELECT scope_id, key, method, fingerprint
      FROM claim
     WHERE live_max = 0
        OR (SELECT count(*)
              FROM (SELECT FROM idempotency_keys AS live WHERE live.scope_id = claim.scope_id LIMIT live_max) AS counted) < live_max
        ON CONFLICT (scope_id, key) DO UPDATE
       SET method = excluded.method, fingerprint = excluded.fingerprint, response = NULL, created_at = now()
     WHERE stored.created_at < now() - interval '24 hours'
    RETURNING scope_id, key
), admitted AS MATERIALIZED (
    SELECT live.account_id
      FROM live
      LEFT JOIN claimed ON claimed.scope_id = live.account_id AND claimed.key = live.key
     WHERE live.key IS NULL OR claimed.key IS NOT NULL
), buyer AS MATERIALIZED (
    SELECT id AS account_id, email, email_verified_at IS NOT NULL AS verified, uuidv7() AS order_id
      FROM accounts
     WHERE id = ANY(ARRAY(SELECT account_id FROM admitted)) AND disabled_at IS NULL
     ORDER BY id
       FOR NO KEY UPDATE
), header AS MATERIALIZED (
    SELECT account_id
      FROM carts
     WHERE account_id = ANY(ARRAY(SELECT account_id FROM buyer))
     ORDER BY account_id
       FOR NO KEY UPDATE
), wanted AS MATERIALIZED (
    SELECT account_id, product_id, quantity, unit_price_minor
      FROM cart_items
     WHERE account_id = ANY(ARRAY(SELECT account_id FROM buyer))
     ORDER BY account_id, product_id
       FOR UPDATE
), locked AS MATERIALIZED (
    SELECT product_id, on_hand, version
      FROM stock_levels
     WHERE product_id = ANY(ARRAY(SELECT product_id FROM wanted)) AND location_id = 1
     ORDER BY product_id
       FOR NO KEY UPDATE
)
SELECT buyer.account_id, buyer.order_id, upper(right(buyer.order_id::text, 11)) AS number, min(buyer.email) AS email,
       array_agg(product_id ORDER BY product_id) AS products, array_agg(quantity ORDER BY product_id) AS quantities,
       array_agg(product.version ORDER BY product_id) AS versions, sum(product.price_minor * quantity)::bigint AS total,
       bool_and(on_hand >= quantity AND product.deleted_at IS NULL AND header.account_id IS NULL
                AND NOT buyer.account_id = ANY(ARRAY(SELECT account_id FROM account_taxes WHERE account_id = buyer.account_id))) AS served,
       array_agg(coalesce(product.tax_category, '') ORDER BY product_id) AS tax_categories,
       bool_or(product.needs_delivery) AS needs_delivery, sum(product.weight_grams * quantity) AS weight,
       (SELECT version FROM price_rules WHERE singleton) AS rules_version
  FROM buyer
  LEFT JOIN header USING (account_id)
  JOIN wanted USING (account_id)
  JOIN locked USING (product_id)
  JOIN LATERAL (SELECT name, price_minor, deleted_at, category_id, tax_category, needs_delivery, weight_grams, version
                  FROM products
                 WHERE id = wanted.product_id
                OFFSET 0) AS product ON TRUE
 GROUP BY buyer.account_id, buyer.order_id
\gset

\if :served

-- PLACE_PLAIN_ORDERS
WITH buyer AS MATERIALIZED (
    SELECT account_id, (SELECT count(*)
                          FROM (SELECT
                                  FROM orders AS open
                                 WHERE open.account_id = buyer.account_id AND open.status = 'placed'
                                 LIMIT 10000) AS counted) < 10000 AS has_room
      FROM (VALUES (:account_id::uuid)) AS buyer (account_id)
), priced AS MATERIALIZED (
    SELECT product_id, quantity, product.name AS product_name, product.price_minor AS unit_price_minor
      FROM unnest(:products::uuid[], :quantities::integer[], :versions::bigint[]) AS item (product_id, quantity, version)
      LEFT JOIN LATERAL (SELECT name, price_minor, version FROM products WHERE id = item.product_id OFFSET 0) AS product
           ON product.version = item.version
), products_now AS MATERIALIZED (
    SELECT bool_and(product_name IS NOT NULL) AS as_priced FROM priced
), placed AS (
    INSERT INTO orders (id, account_id, status, currency_code, total_minor, idempotency_key, payment_due_at, number, contact_email)
    SELECT :order_id::uuid, account_id, 'placed', 'USD', :total::bigint, :key::text, NULL::timestamptz, :number::text, :email::text
      FROM buyer
     WHERE has_room AND (SELECT as_priced FROM products_now)
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, account_id
), line AS (
    SELECT placed.id AS order_id, account_id, product_id, product_name, unit_price_minor, quantity
      FROM priced, placed
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
       SET on_hand = level.on_hand - units.quantity, version = level.version + 1, updated_at = greatest(level.updated_at, now())
      FROM (SELECT product_id, sum(quantity)::integer AS quantity FROM line GROUP BY product_id) AS units
     WHERE level.product_id = units.product_id AND level.location_id = 1
    RETURNING level.product_id
), happened AS (
    INSERT INTO events (kind, subject_id, payload)
    SELECT 'order.placed', id, jsonb_build_object('account_id', account_id) FROM placed
     UNION ALL
    SELECT 'stock.changed', product_id, '{}' FROM sold
), answered AS (
    UPDATE idempotency_keys AS stored
       SET response = :response::bytea
      FROM placed
     WHERE stored.scope_id = placed.account_id AND stored.key = :key::text
)
SELECT account_id, products_now.as_priced, has_room, placed.id IS NOT NULL AS is_placed,
       pg_current_xact_id_if_assigned()::text AS transaction,
       (SELECT CASE WHEN pg_is_in_recovery() THEN 'standby'
                    ELSE format('%s %s', extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()),
                                substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))
               END) AS life
  FROM buyer
 CROSS JOIN products_now
  LEFT JOIN placed USING (account_id);

COMMIT;

\else

ROLLBACK;

\endif
