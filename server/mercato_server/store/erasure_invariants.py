"""The invariants of erased accounts and orders, as queries for store/invariants.py."""

# LATERAL makes each table be asked for the few erased accounts by its index, and not be read as a whole.
KEPT_OF_ACCOUNTS = """
SELECT erased.id AS account_id, kept.place
  FROM accounts AS erased
 CROSS JOIN LATERAL (
    SELECT 'accounts' AS place
     WHERE num_nonnulls(email, password_hash, network, verified_contact, email_verified_at) > 0
        OR full_name <> '' OR known_networks <> '{}' OR disabled_at IS NULL
     UNION ALL
    SELECT 'sessions' FROM sessions WHERE account_id = erased.id
     UNION ALL
    SELECT 'carts' FROM carts WHERE account_id = erased.id
     UNION ALL
    SELECT 'cart_items' FROM cart_items WHERE account_id = erased.id
     UNION ALL
    SELECT 'addresses' FROM addresses WHERE account_id = erased.id
     UNION ALL
    SELECT 'account_taxes' FROM account_taxes WHERE account_id = erased.id
     UNION ALL
    SELECT 'quotes' FROM quotes WHERE account_id = erased.id
     UNION ALL
    SELECT 'promotion_guesses' FROM promotion_guesses WHERE account_id = erased.id
     UNION ALL
    SELECT 'one_time_tokens' FROM one_time_tokens WHERE account_id = erased.id
     UNION ALL
    SELECT 'idempotency_keys' FROM idempotency_keys WHERE scope_id = erased.id
     UNION ALL
    SELECT 'audit_log'
      FROM audit_log
     WHERE subject_id = erased.id
       AND (before ?| '{email,full_name,tax_number}'::text[] OR after ?| '{email,full_name,tax_number}'::text[])
 ) AS kept
 WHERE erased.erased_at IS NOT NULL
"""

# An administrator may write about an order after its erasure. A repeated erasure removes these words too.
KEPT_OF_ORDERS = """
SELECT erased.id AS order_id, kept.place
  FROM orders AS erased
  JOIN accounts AS buyer ON buyer.id = erased.account_id
 CROSS JOIN LATERAL (
    SELECT 'orders' AS place
     WHERE erased.erased_at IS NULL OR num_nonnulls(contact_email, note) > 0
        OR EXISTS (SELECT
                     FROM (VALUES (shipping_address), (billing_address)) AS written (address)
                    CROSS JOIN LATERAL jsonb_object_keys(address) AS field
                    WHERE field NOT IN ('country_code', 'region')
                      AND (field <> 'vat_number' OR tax_treatment IS DISTINCT FROM 'reverse_charge'))
     UNION ALL
    SELECT 'order_history'
      FROM order_history
     WHERE order_id = erased.id AND actor_kind IN ('buyer', 'administrator') AND reason <> '' AND created_at <= erased.erased_at
     UNION ALL
    SELECT 'order_notes' FROM order_notes WHERE order_id = erased.id AND created_at <= erased.erased_at
     UNION ALL
    SELECT 'refunds'
      FROM refunds
     WHERE order_id = erased.id AND actor_kind IN ('buyer', 'administrator') AND reason <> '' AND created_at <= erased.erased_at
     UNION ALL
    SELECT 'returns' FROM returns WHERE order_id = erased.id AND reason <> '' AND created_at <= erased.erased_at
     UNION ALL
    SELECT 'shipments'
      FROM shipments
     WHERE order_id = erased.id AND tracking_number || tracking_url <> '' AND updated_at <= erased.erased_at
     UNION ALL
    SELECT 'mails' FROM mails WHERE order_id = erased.id
 ) AS kept
 WHERE (erased.erased_at IS NOT NULL OR buyer.erased_at IS NOT NULL) AND ($1::uuid[] IS NULL OR erased.id = ANY($1))
"""
