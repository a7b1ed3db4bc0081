"""SQL that corrupts a shop's data: each corruption violates one invariant and no other."""

PREPARE = """
CREATE TABLE chosen AS SELECT DISTINCT ON (status) status, id FROM orders ORDER BY status, id;

-- The order that a corruption is about, by the status that it has before.
CREATE FUNCTION chosen(wanted text) RETURNS uuid RETURN (SELECT id FROM chosen WHERE status = wanted);

-- A product that is in each chosen order, two units of it.
CREATE FUNCTION erased() RETURNS uuid LANGUAGE sql AS $$
    INSERT INTO accounts (full_name, role, erased_at, disabled_at) VALUES ('', 'user', now(), now()) RETURNING id
$$;
CREATE PROCEDURE erase(wanted uuid) LANGUAGE sql AS $$
    DELETE FROM idempotency_keys USING orders WHERE id = wanted AND scope_id = account_id AND key = orders.idempotency_key;
    UPDATE orders SET erased_at = now(), note = NULL, contact_email = NULL, idempotency_key = NULL WHERE id = wanted;
$$;
CREATE FUNCTION ball() RETURNS uuid RETURN (SELECT id FROM products WHERE name = 'Ball' ORDER BY id LIMIT 1);

-- A variant of the group, of size S or M.
CREATE FUNCTION shirt(size text) RETURNS uuid RETURN (SELECT id FROM products WHERE options_text = 'Size: ' || size);

-- Account for a wrong move of the ball, so that the stock still is the sum of the ledger.
CREATE PROCEDURE book(units integer) BEGIN ATOMIC
    INSERT INTO stock_ledger (product_id, kind, delta, actor_kind) VALUES (ball(), 'adjust', units, 'system');
END;

-- Move an order to another state with its history and event, and do nothing else of what belongs to that.
CREATE PROCEDURE go(order_id uuid, wanted text) BEGIN ATOMIC
    UPDATE orders SET status = wanted, version = version + 1 WHERE id = order_id;
    INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
    SELECT id, version, status, 'buyer', account_id, '' FROM orders WHERE id = order_id;
    INSERT INTO events (kind, subject_id) VALUES ('order.' || wanted, order_id);
END;

-- Give the price of an order parts, all of them 0. The release before was the last to change it, so its statuses do not follow.
CREATE PROCEDURE price(priced uuid) BEGIN ATOMIC
    UPDATE order_items SET discount_minor = 0, tax_minor = 0, relief_minor = 0 WHERE order_id = priced;
    UPDATE orders SET pricing_version = 1, prices_include_tax = true, tax_rounding = 'line', booked_version = version - 1 WHERE id = priced;
END;

-- Let the ball of an order bear 19 % of tax, in its price of 39.98.
CREATE PROCEDURE tax(taxed uuid, share bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    CALL price(taxed);
    UPDATE order_items SET tax_rate_ppm = 190000, tax_minor = share WHERE order_id = taxed AND product_id = ball();
    INSERT INTO order_taxes (order_id, position, name, rate_ppm, net_minor, tax_minor, delivery_net_minor, delivery_tax_minor,
                             currency_code)
    VALUES (taxed, 0, 'VAT', 190000, 3998 - share, share, 0, 0, 'USD');
END $$;

-- Three levels of categories: the ball is in the second one.
INSERT INTO categories (name) VALUES ('Sports');
INSERT INTO categories (name, parent_id, ancestors) SELECT 'Balls', id, ARRAY[id] FROM categories WHERE name = 'Sports';
INSERT INTO categories (name, parent_id, ancestors) SELECT 'Old Balls', id, ancestors || id FROM categories WHERE name = 'Balls';
CREATE FUNCTION category(wanted text) RETURNS uuid RETURN (SELECT id FROM categories WHERE name = wanted);
UPDATE products SET category_id = category('Balls') WHERE id = ball();
UPDATE product_search SET category_ids = ARRAY[category('Balls')] WHERE product_id = ball();

-- A promotion with a code, which one order has used.
INSERT INTO promotions (name, kind, percent_ppm, product_ids, category_ids, get_product_ids, get_category_ids, method_ids,
                        min_subtotal_minor, currency_code, needs_code, usage_limit, per_buyer_limit, priority, combinable, used, codes)
VALUES ('Sale', 'percent', 1, '{}', '{}', '{}', '{}', '{}', 0, 'USD', true, 3, 2, 0, true, 1, 1);

-- Use the promotion once more, and do nothing else of what belongs to that.
CREATE PROCEDURE use(buying uuid, code text, buyer text[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO promotion_redemptions (order_id, promotion_id, code_folded, subjects, amount_minor, currency_code)
    SELECT buying, id, code, buyer, 1, 'USD' FROM promotions;
    INSERT INTO order_discounts (order_id, position, promotion_id, name, product_id, amount_minor, currency_code)
    SELECT buying, 0, id, name, ball(), 1, 'USD' FROM promotions;
    CALL price(buying);
    UPDATE order_items SET discount_minor = 1 WHERE order_id = buying AND product_id = ball();
    UPDATE orders SET total_minor = total_minor - 1 WHERE id = buying;
END $$;

INSERT INTO promotion_codes (code_folded, code, promotion_id, usage_limit, used) SELECT 'sale', 'SALE', id, 2, 1 FROM promotions;
INSERT INTO promotion_buyers (promotion_id, subject, uses)
SELECT id, subject, 1 FROM promotions, unnest(ARRAY['account:1', 'email:jo@example.com']) AS subject;
CALL use(chosen('paid'), 'sale', ARRAY['account:1', 'email:jo@example.com']);
"""
"""Run this before a corruption.

The shop needs an order that is placed, one cancelled and one delivered, and a group of two variants, S and M, of which S is cheaper.
"""

CORRUPTIONS: dict[str, dict[str, str]] = {
    "stock": {
        "a unit without a ledger entry": "UPDATE stock_levels SET on_hand = on_hand + 1 WHERE product_id = ball()",
        "a lost entry of the ledger": "DELETE FROM stock_ledger WHERE kind = 'initial' AND product_id = ball()",
        "less than nothing": """
            ALTER TABLE stock_levels DROP CONSTRAINT stock_levels_on_hand_check;
            INSERT INTO stock_ledger (product_id, kind, delta, actor_kind)
            SELECT product_id, 'adjust', -1 - on_hand, 'system' FROM stock_levels WHERE product_id = ball();
            UPDATE stock_levels SET on_hand = -1 WHERE product_id = ball();
            """,
        "a product without a level": "DELETE FROM stock_levels WHERE product_id = ball()",
        "an entry of a product that is not there": """
            INSERT INTO stock_ledger (product_id, kind, delta, actor_kind) VALUES (uuidv7(), 'adjust', 1, 'system');
            """,
    },
    "sales": {
        "a line that was not sold": """
            UPDATE stock_ledger SET kind = 'adjust', order_id = NULL, actor_kind = 'system'
             WHERE kind = 'sale' AND order_id = chosen('placed') AND product_id = ball();
            """,
        "a unit sold too many": """
            UPDATE stock_ledger SET delta = delta - 1 WHERE kind = 'sale' AND order_id = chosen('placed') AND product_id = ball();
            CALL book(1);
            """,
        "a line sold twice": """
            DROP INDEX stock_ledger_steps;
            INSERT INTO stock_ledger (product_id, order_id, kind, delta) VALUES (ball(), chosen('placed'), 'sale', -2);
            UPDATE stock_levels SET on_hand = on_hand - 2 WHERE product_id = ball();
            """,
        "a sale without its line": """
            UPDATE orders SET total_minor = total_minor - quantity * unit_price_minor
              FROM order_items WHERE id = chosen('placed') AND order_id = id AND product_id = ball();
            DELETE FROM order_items WHERE order_id = chosen('placed') AND product_id = ball();
            """,
    },
    "restocks": {
        "a line that was not put back": """
            UPDATE stock_ledger SET kind = 'adjust', order_id = NULL
             WHERE kind = 'cancel' AND order_id = chosen('cancelled') AND product_id = ball();
            """,
        "a unit put back too few": """
            UPDATE stock_ledger SET delta = delta - 1 WHERE kind = 'cancel' AND order_id = chosen('cancelled') AND product_id = ball();
            CALL book(1);
            """,
        "a line put back twice": """
            DROP INDEX stock_ledger_steps;
            INSERT INTO stock_ledger (product_id, order_id, kind, delta, actor_kind)
            VALUES (ball(), chosen('cancelled'), 'cancel', 2, 'system');
            UPDATE stock_levels SET on_hand = on_hand + 2 WHERE product_id = ball();
            """,
        "an order put back that is not cancelled": """
            INSERT INTO stock_ledger (product_id, order_id, kind, delta, actor_kind)
            VALUES (ball(), chosen('placed'), 'cancel', 2, 'system');
            UPDATE stock_levels SET on_hand = on_hand + 2 WHERE product_id = ball();
            """,
        "an order cancelled and not put back": "CALL go(chosen('placed'), 'cancelled')",
    },
    "totals": {
        "a wrong total": "UPDATE orders SET total_minor = total_minor + 1 WHERE id = chosen('placed')",
        "a wrong price": "UPDATE order_items SET unit_price_minor = unit_price_minor + 1 WHERE order_id = chosen('placed')",
        "a line without its order": """
            WITH lost AS (
                SELECT uuidv7() AS id
            ), line AS (
                INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
                SELECT id, ball(), 'Ball', 1, 'USD', 2 FROM lost
            ), sale AS (
                INSERT INTO stock_ledger (product_id, order_id, kind, delta) SELECT ball(), id, 'sale', -2 FROM lost
            )
            UPDATE stock_levels SET on_hand = on_hand - 2 WHERE product_id = ball();
            """,
        "an order without lines": """
            INSERT INTO orders (account_id, status, currency_code, total_minor) SELECT id, 'placed', 'USD', 0 FROM accounts LIMIT 1;
            INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
            SELECT id, 1, 'placed', 'buyer', account_id, '' FROM orders WHERE total_minor = 0;
            INSERT INTO events (kind, subject_id) SELECT 'order.placed', id FROM orders WHERE total_minor = 0;
            """,
    },
    "discounts": {
        "a discount that no promotion gives": """
            CALL price(chosen('delivered'));
            UPDATE order_items SET discount_minor = 1 WHERE order_id = chosen('delivered') AND product_id = ball();
            UPDATE orders SET total_minor = total_minor - 1 WHERE id = chosen('delivered');
            """,
        "a gift that no line has": """
            INSERT INTO order_discounts (order_id, position, promotion_id, name, product_id, amount_minor, currency_code)
            SELECT chosen('paid'), 1, id, name, ball(), 1, 'USD' FROM promotions;
            UPDATE promotion_redemptions SET amount_minor = 2;
            """,
    },
    "line taxes": {
        "a tax that is rounded up": "CALL tax(chosen('delivered'), 639)",  # 638.33
        "a share of the order's tax that is too large": """
            CALL tax(chosen('delivered'), 640);
            UPDATE orders SET tax_rounding = 'order' WHERE id = chosen('delivered');
            UPDATE order_taxes SET net_minor = net_minor + 10;
            """,
    },
    "taxes": {
        "a tax that no line bears": """
            CALL tax(chosen('delivered'), 638);
            UPDATE order_items SET tax_rate_ppm = NULL, tax_minor = 0 WHERE order_id = chosen('delivered');
            """,
        "a tax of the delivery that the order does not have": """
            CALL tax(chosen('delivered'), 638);
            UPDATE order_taxes SET delivery_net_minor = 100, delivery_tax_minor = 19;
            """,
    },
    "redemptions": {
        "a use that the cancellation did not release": """
            CALL use(chosen('cancelled'), NULL, ARRAY['account:2']);
            INSERT INTO promotion_buyers (promotion_id, subject, uses) SELECT id, 'account:2', 1 FROM promotions;
            UPDATE promotions SET used = 2;
            """,
        "a redemption of more than was given": "UPDATE promotion_redemptions SET amount_minor = 2",
    },
    "one order per key": {
        # So old that the keys have been swept; otherwise the second order would also lack its stored answer.
        "two orders of a key": """
            DROP INDEX orders_idempotency_key;
            UPDATE orders SET created_at = created_at - interval '2 days';
            UPDATE events SET created_at = created_at - interval '2 days';
            DELETE FROM idempotency_keys;
            UPDATE orders SET idempotency_key = 'one'
             WHERE account_id = (SELECT account_id FROM orders GROUP BY account_id HAVING count(*) > 2);
            """,
    },
    "stored keys": {
        "a checkout without its answer": """
            UPDATE idempotency_keys SET response = NULL FROM orders WHERE id = chosen('delivered') AND key = idempotency_key;
            """,
        "a call without its answer": "UPDATE idempotency_keys SET response = NULL WHERE method LIKE '%/AddCartItem'",
        "the answer of another order": """
            UPDATE idempotency_keys SET response = convert_to(chosen('placed')::text, 'UTF8')
              FROM orders WHERE id = chosen('delivered') AND key = idempotency_key;
            """,
        "an order without its key": "DELETE FROM idempotency_keys USING orders WHERE id = chosen('delivered') AND key = idempotency_key",
        "a key without its order": "UPDATE orders SET idempotency_key = NULL WHERE id = chosen('delivered')",
        "a key from another transaction": """
            UPDATE idempotency_keys SET created_at = idempotency_keys.created_at - interval '1 millisecond'
              FROM orders WHERE id = chosen('delivered') AND key = idempotency_key;
            """,
        "the key of another call": """
            UPDATE idempotency_keys SET method = '/mercato.v1.CartService/ClearCart'
              FROM orders WHERE id = chosen('delivered') AND key = idempotency_key;
            """,
    },
    "events": {
        "an order that was not told of": "DELETE FROM events WHERE kind = 'order.placed' AND subject_id = chosen('placed')",
        "a transition that was not told of": "DELETE FROM events WHERE kind = 'order.shipped' AND subject_id = chosen('delivered')",
        "an order told of twice": "INSERT INTO events (kind, subject_id) VALUES ('order.placed', chosen('placed'))",
        "a transition told of twice": "INSERT INTO events (kind, subject_id) VALUES ('order.paid', chosen('delivered'))",
        "another transition told of": """
            UPDATE events SET kind = 'order.paid' WHERE kind = 'order.shipped' AND subject_id = chosen('delivered');
            """,
        "an order told of that is not there": "INSERT INTO events (kind, subject_id) VALUES ('order.placed', uuidv7())",
    },
    "states": {
        "a state without history": "UPDATE orders SET status = 'paid' WHERE id = chosen('placed')",
        "a version without history": "UPDATE orders SET version = version + 1 WHERE id = chosen('placed')",
        "a version behind its history": "UPDATE orders SET version = 1, booked_version = 1 WHERE id = chosen('delivered')",
        "a leap": "CALL go(chosen('placed'), 'delivered')",
        "a way back": "CALL go(chosen('delivered'), 'shipped')",
        "a state after the last one": "CALL go(chosen('cancelled'), 'paid')",
        "a history without its order": """
            INSERT INTO order_history (order_id, version, status, actor_kind, reason) VALUES (uuidv7(), 1, 'placed', 'system', '');
            """,
        "no history at all": "DELETE FROM order_history WHERE order_id = chosen('placed')",
        "a history with a gap": """
            CALL go(chosen('placed'), 'paid');
            UPDATE order_history SET version = 3 WHERE order_id = chosen('placed') AND version = 2;
            UPDATE orders SET version = 3 WHERE id = chosen('placed');
            """,
        "a history that begins late": """
            UPDATE order_history SET version = 2 WHERE order_id = chosen('placed');
            UPDATE orders SET version = 2 WHERE id = chosen('placed');
            UPDATE events SET kind = 'order.placed' WHERE subject_id = chosen('placed');
            INSERT INTO events (kind, subject_id) VALUES ('order.placed', chosen('placed'));
            """,
        "a history that begins in the middle": """
            UPDATE order_history SET status = 'paid' WHERE order_id = chosen('placed');
            UPDATE orders SET status = 'paid' WHERE id = chosen('placed');
            """,
    },
    "expiries": {
        "a cancellation before the due time": """
            UPDATE orders SET payment_due_at = created_at + interval '1 day' WHERE id = chosen('cancelled');
            UPDATE order_history SET actor_kind = 'system', actor_id = NULL WHERE order_id = chosen('cancelled') AND status = 'cancelled';
            """,
        "a cancellation without a due time": """
            UPDATE order_history SET actor_kind = 'system', actor_id = NULL WHERE order_id = chosen('cancelled') AND status = 'cancelled';
            """,
        "an order that stays overdue": "UPDATE orders SET payment_due_at = now() - interval '61 minutes' WHERE id = chosen('placed')",
    },
    "sessions": {
        "a second live token": """
            DROP INDEX refresh_tokens_live;
            INSERT INTO refresh_tokens (digest, session_id) SELECT 'x', session_id FROM refresh_tokens WHERE used_at IS NULL LIMIT 1;
            """,
        "a session of a disabled account": """
            UPDATE accounts SET disabled_at = now() WHERE id = (SELECT account_id FROM sessions ORDER BY id LIMIT 1);
            """,
    },
    "guests": {
        "an account without an address": """
            ALTER TABLE accounts DROP CONSTRAINT accounts_identity_check;
            UPDATE accounts SET email = NULL WHERE id = (SELECT id FROM accounts ORDER BY id LIMIT 1);
            """,
        "a guest with a password": "INSERT INTO accounts (full_name, role, password_hash) VALUES ('', 'guest', 'x')",
        "an account that is swept as a guest": """
            UPDATE accounts SET guest_check_at = now() WHERE id = (SELECT id FROM accounts ORDER BY id LIMIT 1);
            """,
        "a full session of a guest": """
            WITH guest AS (INSERT INTO accounts (full_name, role) VALUES ('', 'guest') RETURNING id)
            INSERT INTO sessions (account_id, user_agent, ip_address, expires_at) SELECT id, '', '', now() + interval '1 day' FROM guest;
            """,
    },
    "erased accounts": {
        "a name that came back": """
            ALTER TABLE accounts DROP CONSTRAINT accounts_erased_check;
            INSERT INTO accounts (full_name, role, erased_at, disabled_at) VALUES ('Jo', 'user', now(), now());
            """,
        "an account that was enabled": "INSERT INTO accounts (full_name, role, erased_at) VALUES ('', 'user', now())",
        "a session": """
            INSERT INTO sessions (account_id, user_agent, ip_address, expires_at, ended_at, end_reason)
            VALUES (erased(), '', '', now(), now(), 'logout');
            """,
        "a cart": "INSERT INTO carts (account_id) VALUES (erased())",
        "a tax number": "INSERT INTO account_taxes (account_id, treatment, tax_number) VALUES (erased(), 'exempt', 'X1')",
        "guesses": "INSERT INTO promotion_guesses (account_id, guesses) VALUES (erased(), 1)",
        "a stored response": "INSERT INTO idempotency_keys VALUES (erased(), 'k', 'm', 'x', 'y')",
        "an address in the audit log": """
            INSERT INTO audit_log (actor_kind, action, subject_id, before, after, request_id)
            VALUES ('system', 'user.created', erased(), '{}', '{"email": "jo@example.com"}', '');
            """,
    },
    "erased orders": {
        "a note that came back": """
            ALTER TABLE orders DROP CONSTRAINT orders_erased_check;
            CALL erase(chosen('delivered'));
            UPDATE orders SET note = 'Jo' WHERE id = chosen('delivered');
            """,
        "an address with a street": """
            CALL erase(chosen('delivered'));
            UPDATE orders SET shipping_address = '{"country_code": "DE", "city": "Berlin"}' WHERE id = chosen('delivered');
            """,
        "a note of an administrator": """
            CALL erase(chosen('delivered'));
            INSERT INTO order_notes (order_id, actor_id, text) VALUES (chosen('delivered'), uuidv7(), 'Jo');
            """,
        "an order of an erased buyer that is not erased": """
            CALL erase(chosen('delivered'));
            UPDATE orders SET account_id = erased(), erased_at = NULL WHERE id = chosen('delivered');
            """,
    },
    "lines": {
        "a cart of an absent account": """
            ALTER TABLE cart_items DROP CONSTRAINT cart_items_account_id_fkey;
            UPDATE cart_items SET account_id = uuidv7();
            """,
        "nothing in a cart": """
            ALTER TABLE cart_items DROP CONSTRAINT cart_items_quantity_check;
            UPDATE cart_items SET quantity = 0;
            """,
        "another currency in an order": "UPDATE order_items SET currency_code = 'EUR' WHERE order_id = chosen('placed')",
        "nothing in an order": """
            ALTER TABLE order_items DROP CONSTRAINT order_items_quantity_check;
            UPDATE orders SET total_minor = total_minor - quantity * unit_price_minor
              FROM order_items WHERE id = chosen('placed') AND order_id = id AND product_id = ball();
            UPDATE order_items SET quantity = 0 WHERE order_id = chosen('placed') AND product_id = ball();
            UPDATE stock_ledger SET delta = 0 WHERE kind = 'sale' AND order_id = chosen('placed') AND product_id = ball();
            CALL book(-2);
            """,
    },
    "due mails": {
        "a mail whose job is lost": "UPDATE mails SET created_at = created_at - interval '1 hour'; DELETE FROM pgqueuer;",
        "a mail whose job is held": """
            UPDATE mails SET created_at = created_at - interval '1 hour';
            UPDATE pgqueuer SET status = 'failed';
            """,
    },
    "search": {
        "a product without its document": """
            DELETE FROM product_search WHERE product_id = ball();
            UPDATE search_words SET products = products - 1 WHERE word = 'ball';
            """,
        "a document of a product off sale": "UPDATE products SET deleted_at = now() WHERE id = ball()",
        "the words of an earlier name": "UPDATE products SET name = 'Hat' WHERE id = ball()",
        "the number of another product": "UPDATE product_search SET number = 999 WHERE product_id = ball()",
        "a category without its product": "UPDATE product_search SET category_ids = ARRAY[uuidv7()] WHERE product_id = ball()",
    },
    "search words": {
        "words that no rule made": "UPDATE product_search SET words = 'hat' WHERE product_id = ball()",
        "a document with the key of another name": "UPDATE product_search SET name_key = 'hat' WHERE product_id = ball()",
        "a product with the key of another name": "UPDATE products SET name_key = 'hat' WHERE id = ball()",
        "the words of an earlier description": "UPDATE products SET description = 'Straw' WHERE id = ball()",
        "the vocabulary of another name": """
            UPDATE product_search SET vocabulary = '{hat}' WHERE product_id = ball();
            UPDATE search_words SET products = products - 1 WHERE word = 'ball';
            INSERT INTO search_words (word, products, stem, keys) VALUES ('hat', 1, 'hat', '{}');
            """,
    },
    "vocabulary": {
        "a word counted too often": "UPDATE search_words SET products = products + 1 WHERE word = 'ball'",
        "a word counted without a product": "INSERT INTO search_words (word, products, stem, keys) VALUES ('hat', 1, 'hat', '{}')",
        "a word that is not known": "DELETE FROM search_words WHERE word = 'ball'",
    },
    "groups": {
        "a variant that is not counted": "UPDATE product_groups SET variants = 1",
        "the lowest price of an earlier time": "UPDATE product_groups SET min_price_minor = 1",
        "the highest price of an earlier time": "UPDATE product_groups SET max_price_minor = 1000000",
        "a list of variants without one of them": "UPDATE product_groups SET variant_ids = variant_ids[2:]",
        "options of an earlier time": "UPDATE product_groups SET variant_options = '[]'",
    },
    "representatives": {
        "a group without one": "UPDATE products SET is_listed = false WHERE group_id IS NOT NULL",
        "a variant that is not the cheapest": """
            UPDATE products SET is_listed = false WHERE id = shirt('S');
            UPDATE products SET is_listed = true WHERE id = shirt('M');
            """,
        "two of one group": """
            DROP INDEX products_listed_key;
            UPDATE products SET is_listed = true WHERE group_id IS NOT NULL;
            """,
        "a product without a group that is not listed": """
            ALTER TABLE products DROP CONSTRAINT products_options_check;
            UPDATE products SET is_listed = false WHERE id = ball();
            """,
    },
    "options": {
        "two variants of one size": """
            DROP INDEX products_options_key;
            UPDATE products SET options = '[["Size", "s"]]', folded_options = '{"size": "s"}', options_text = 'Size: s'
             WHERE id = shirt('M');
            UPDATE product_groups SET variant_options = (
                SELECT jsonb_agg(options ORDER BY position, id) FROM products WHERE group_id = product_groups.id AND deleted_at IS NULL
            );
            """,
    },
    "options of variants": {
        "folded options of another size": "UPDATE products SET folded_options = '{\"size\": \"l\"}' WHERE id = shirt('M')",
        "options that are not folded": "UPDATE products SET folded_options = '{\"size\": \"M\"}' WHERE id = shirt('M')",
        "the text of another size": "UPDATE products SET options_text = 'Size: L' WHERE id = shirt('M')",
        "options that the group does not have": "UPDATE product_groups SET varies_by = '{Colour}'",
    },
    "promotions": {
        "a use without its order": "UPDATE promotions SET used = 2",
        "an order that was not counted": """
            CALL use(chosen('delivered'), NULL, ARRAY['account:2']);
            INSERT INTO promotion_buyers (promotion_id, subject, uses) SELECT id, 'account:2', 1 FROM promotions;
            """,
        "a cancelled order that counts": """
            CALL use(chosen('cancelled'), NULL, ARRAY['account:2']);
            UPDATE promotion_redemptions SET released_at = now() WHERE order_id = chosen('cancelled');
            UPDATE promotions SET used = 2;
            """,
        "a use too many": """
            ALTER TABLE promotions DROP CONSTRAINT promotions_usage_check;
            CALL use(chosen('delivered'), NULL, ARRAY['account:2']);
            INSERT INTO promotion_buyers (promotion_id, subject, uses) SELECT id, 'account:2', 1 FROM promotions;
            UPDATE promotions SET used = 2, usage_limit = 1;
            """,
        "a use of a promotion that is not there": """
            CALL use(chosen('delivered'), NULL, ARRAY['account:2']);
            UPDATE promotion_redemptions SET promotion_id = chosen('delivered') WHERE order_id = chosen('delivered');
            UPDATE order_discounts SET promotion_id = chosen('delivered') WHERE order_id = chosen('delivered');
            """,
        "a code that was not counted": "UPDATE promotions SET codes = 0",
    },
    "category tree": {
        "a category below itself": """
            ALTER TABLE categories DROP CONSTRAINT categories_ring_check;
            UPDATE categories SET parent_id = id, ancestors = ARRAY[category('Sports'), category('Balls'), id] WHERE name = 'Old Balls';
            """,
        "two categories below each other": """
            UPDATE categories SET parent_id = category('Old Balls'), ancestors = ARRAY[category('Old Balls')] WHERE name = 'Sports';
            """,
        "a category that lacks one of those above it": "UPDATE categories SET ancestors = ARRAY[parent_id] WHERE name = 'Old Balls'",
    },
    "category listings": {
        "a product that its category does not list": "DELETE FROM category_listings WHERE id = ball()",
        "a product of another category": "INSERT INTO category_listings VALUES (category('Old Balls'), ball(), 1999, '')",
        "an earlier price": "UPDATE category_listings SET price_minor = 1 WHERE id = ball()",
    },
    "slugs": {
        "a slug of nothing": "INSERT INTO slugs (kind, slug, subject_id) VALUES ('category', 'hats', uuidv7())",
        "a product with the slug of an earlier name": "UPDATE products SET slug = 'hat' WHERE id = ball()",
        "a product whose slug leads nowhere": "DELETE FROM slugs WHERE kind = 'product' AND subject_id = ball()",
        "a live slug that is kept as an earlier one": "UPDATE slugs SET is_live = false WHERE kind = 'product' AND subject_id = ball()",
    },
    "promotion codes": {
        "a use without its order": "UPDATE promotion_codes SET used = 2",
        "a use of a code that is not there": "UPDATE promotion_redemptions SET code_folded = 'gone'; UPDATE promotion_codes SET used = 0;",
        "a use too many": """
            ALTER TABLE promotion_codes DROP CONSTRAINT promotion_codes_usage_check;
            CALL use(chosen('delivered'), 'sale', ARRAY['account:2']);
            INSERT INTO promotion_buyers (promotion_id, subject, uses) SELECT id, 'account:2', 1 FROM promotions;
            UPDATE promotions SET used = 2;
            UPDATE promotion_codes SET used = 2, usage_limit = 1;
            """,
    },
    "promotion buyers": {
        "a use without its order": "UPDATE promotion_buyers SET uses = 2 WHERE subject = 'account:1'",
        "a buyer that was not counted": "DELETE FROM promotion_buyers WHERE subject = 'email:jo@example.com'",
        "a count without a limit": "UPDATE promotions SET per_buyer_limit = NULL",
    },
}
"""Name of the invariant, then of the corruption: the SQL that makes it."""
