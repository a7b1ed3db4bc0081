"""SQL that corrupts payments, refunds, units, shipments and returns: each corruption violates one invariant and no other.

Orders are known by their notes, the stories of paid_orders.
"""

PREPARE = """
CREATE FUNCTION noted(wanted text) RETURNS uuid RETURN (SELECT id FROM orders WHERE note = wanted);

-- The last payment of an order.
CREATE FUNCTION paying(wanted text) RETURNS uuid RETURN (SELECT id FROM payments WHERE order_id = noted(wanted) ORDER BY id DESC LIMIT 1);

CREATE FUNCTION lamp() RETURNS uuid RETURN (SELECT id FROM products WHERE name = 'Lamp');

CREATE FUNCTION chair() RETURNS uuid RETURN (SELECT id FROM products WHERE name = 'Chair');

-- A movement of a cent.
CREATE PROCEDURE move(paid uuid, movement text, ref text) BEGIN ATOMIC
    INSERT INTO payment_ledger (payment_id, kind, provider_ref, amount_minor, currency_code) VALUES (paid, movement, ref, 1, 'USD');
END;

-- Settle the open requests of a payment, and do nothing else of what belongs to that.
CREATE PROCEDURE settle(paid uuid) BEGIN ATOMIC
    UPDATE provider_requests SET outcome = 'succeeded', settled_at = now() WHERE payment_id = paid AND outcome IS NULL;
END;
"""
"""Run this after the other preparation, in a shop in which all stories were told."""

CORRUPTIONS: dict[str, dict[str, str]] = {
    "restocks": {
        "a return that was not put back": """
            UPDATE stock_ledger SET kind = 'adjust', order_id = NULL WHERE kind = 'return' AND order_id = noted('delivered and returned');
            """,
        "a return put back that cannot be sold": """
            UPDATE returns SET restocked = false WHERE restocked AND order_id = noted('delivered and returned');
            """,
        "a cancelled unit put back twice": """
            UPDATE stock_ledger SET delta = 2
             WHERE id = (SELECT min(id) FROM stock_ledger WHERE kind = 'cancel' AND order_id = noted('cancelled in part'));
            INSERT INTO stock_ledger (product_id, kind, delta, actor_kind) VALUES (lamp(), 'adjust', -1, 'system');
            """,
        "a cancellation of the release before that was put back in part": """
            UPDATE stock_ledger SET delta = 2 WHERE kind = 'cancel' AND order_id = noted('cancelled before') AND product_id = lamp();
            INSERT INTO stock_ledger (product_id, kind, delta, actor_kind) VALUES (lamp(), 'adjust', 1, 'system');
            """,
    },
    "expiries": {
        "an order that a payment holds for more than a day": """
            UPDATE orders SET payment_due_at = now() - interval '25 hours' WHERE id = noted('processing');
            """,
        "a lapse of what was not authorised": """
            UPDATE order_history SET actor_kind = 'system', actor_id = NULL, reason = 'the authorised payment has lapsed'
             WHERE order_id = noted('cancelled unpaid') AND status = 'cancelled';
            """,
    },
    "statuses": {
        "a status that the units do not have": """
            CALL go(noted('paid'), 'shipped');
            UPDATE orders SET booked_version = version WHERE id = noted('paid');
            """,
        "a payment status that the money does not have": """
            UPDATE orders SET payment_status = 'partially_refunded' WHERE id = noted('cancelled in part');
            """,
        "a fulfilment status that the units do not have": """
            UPDATE orders SET fulfillment_status = 'delivered' WHERE id = noted('delivered and returned');
            """,
        "no payment status": "UPDATE orders SET payment_status = NULL WHERE id = noted('paid')",
        "books of a later version": "UPDATE orders SET booked_version = version + 1 WHERE id = noted('paid')",
        "a payment of an order without books": """
            UPDATE orders SET version = 1, booked_version = NULL WHERE id = noted('asked to pay');
            """,
    },
    "units": {
        "a unit that no shipment has": """
            UPDATE order_items SET shipped = shipped + 1 WHERE order_id = noted('sent in parts') AND product_id = chair();
            """,
        "a shipment that no line counts": """
            UPDATE shipment_items SET quantity = quantity + 1
              FROM shipments WHERE id = shipment_id AND order_id = noted('sent in parts') AND state = 'shipped';
            """,
        "a delivery that no line counts": """
            UPDATE shipments SET state = 'delivered' WHERE order_id = noted('sent in parts') AND state = 'shipped';
            """,
        "a return that no line counts": """
            UPDATE return_items SET quantity = quantity + 1
              FROM returns WHERE id = return_id AND order_id = noted('delivered and returned') AND NOT restocked;
            """,
        "an amount that no refund gives": """
            UPDATE order_items SET refunded_minor = refunded_minor + 1 WHERE order_id = noted('refunded in part') AND product_id = lamp();
            """,
        "an amount of a refund that no line counts": """
            UPDATE refund_lines AS line SET amount_minor = 1
              FROM refunds WHERE id = refund_id AND order_id = noted('refunded in part');
            """,
        "an amount of a refund that has failed": """
            UPDATE order_items SET refunded_minor = 1 WHERE order_id = noted('cancelled, refund failed');
            """,
    },
    "parcels": {
        "more units than are left": """
            UPDATE shipment_items SET quantity = quantity + 1
              FROM shipments WHERE id = shipment_id AND order_id = noted('sent in parts') AND state = 'prepared';
            """,
        "a unit that was not ordered": """
            INSERT INTO shipment_items (shipment_id, product_id, quantity)
            SELECT id, ball(), 1 FROM shipments WHERE order_id = noted('sent in parts') AND state = 'prepared';
            """,
    },
    "payments": {
        "an authorisation that was not counted": "CALL move(paying('paid'), 'authorized', 'x')",
        "a capture that was not counted": "CALL move(paying('paid'), 'captured', 'x')",
        "a refund of another amount": """
            UPDATE payment_ledger SET amount_minor = amount_minor - 1 WHERE kind = 'refunded' AND payment_id = paying('refunded in part');
            """,
        "a dispute of another amount": """
            UPDATE payment_ledger SET amount_minor = amount_minor - 1 WHERE kind = 'disputed' AND payment_id = paying('disputed');
            """,
        "a loss of another amount": """
            UPDATE payment_ledger SET amount_minor = amount_minor - 1 WHERE kind = 'dispute_lost' AND payment_id = paying('dispute lost');
            """,
        "a payment without its ledger": "DELETE FROM payment_ledger WHERE payment_id = paying('paid')",
        "a reservation that no refund has": """
            UPDATE payments SET refunding_minor = refunding_minor + 1 WHERE id = paying('refund asked for');
            """,
        "a refund that reserves nothing": """
            UPDATE refunds SET is_own = false WHERE payment_id = paying('refund pending');
            """,
        "more money than was asked for": """
            ALTER TABLE payments DROP CONSTRAINT payments_captured_check;
            UPDATE payments SET amount_minor = amount_minor - 1 WHERE id = paying('paid');
            """,
        "another currency": """
            ALTER TABLE payments DROP CONSTRAINT payments_currency_code_fkey;
            UPDATE payments SET currency_code = 'EUR' WHERE id = paying('open');
            """,
        "a movement in another currency": """
            ALTER TABLE payment_ledger DROP CONSTRAINT payment_ledger_currency_code_fkey;
            UPDATE payment_ledger SET currency_code = 'EUR' WHERE payment_id = paying('paid');
            """,
        "a capture without money": "UPDATE payments SET state = 'captured' WHERE id = paying('open')",
        "a pending payment with money": "UPDATE payments SET state = 'pending' WHERE id = paying('held')",
    },
    "movements": {
        "a void of nothing": "CALL move(paying('paid'), 'authorized', 'x'); CALL move(paying('paid'), 'voided', 'y');",
        "a failure of nothing": "CALL move(paying('paid'), 'refunded', 'x'); CALL move(paying('paid'), 'refund_failed', 'y');",
        "a failure of another refund": """
            CALL move(paying('refund came back'), 'refunded', 'x');
            UPDATE payment_ledger SET amount_minor = amount_minor + 1
             WHERE kind = 'refund_failed' AND payment_id = paying('refund came back');
            """,
        "a victory in no dispute": "CALL move(paying('paid'), 'disputed', 'x'); CALL move(paying('paid'), 'dispute_won', 'y');",
        "a loss in no dispute": """
            CALL move(paying('paid'), 'disputed', 'x');
            CALL move(paying('paid'), 'dispute_lost', 'y');
            CALL move(paying('paid'), 'dispute_appealed', 'y');
            """,
        "an appeal against no loss": """
            CALL move(paying('paid'), 'disputed', 'x');
            CALL move(paying('paid'), 'dispute_lost', 'x');
            CALL move(paying('paid'), 'dispute_appealed', 'y');
            """,
    },
    "one live payment": {
        "two payments that may bring money": """
            DROP INDEX payments_live;
            UPDATE payments SET state = 'pending', provider_ref = 'x'
             WHERE order_id = noted('declined, then paid') AND state = 'cancelled';
            """,
    },
    "refunds": {
        "a success that was not counted": """
            UPDATE refunds SET state = 'succeeded' WHERE payment_id = paying('refund pending');
            UPDATE payments SET refunding_minor = 0 WHERE id = paying('refund pending');
            """,
        "more than was captured": """
            UPDATE refunds SET amount_minor = amount_minor + 1 WHERE payment_id = paying('cancelled, refund under way');
            UPDATE payments SET refunding_minor = refunding_minor + 1 WHERE id = paying('cancelled, refund under way');
            """,
        "lines of more than the refund": """
            UPDATE refund_lines AS line SET amount_minor = line.amount_minor + 1
              FROM refunds WHERE id = refund_id AND order_id = noted('refunded in part');
            UPDATE order_items SET refunded_minor = refunded_minor + 1 WHERE order_id = noted('refunded in part') AND product_id = lamp();
            """,
        "a refund of another order": "UPDATE refunds SET order_id = noted('paid') WHERE payment_id = paying('refund pending')",
    },
    "kept money": {
        "a cancellation without a refund": """
            DELETE FROM provider_requests WHERE refund_id IN (SELECT id FROM refunds WHERE order_id = noted('cancelled, refund under way'));
            DELETE FROM refund_lines USING refunds WHERE id = refund_id AND order_id = noted('cancelled, refund under way');
            DELETE FROM refunds WHERE order_id = noted('cancelled, refund under way');
            UPDATE payments SET refunding_minor = 0 WHERE id = paying('cancelled, refund under way');
            UPDATE order_items SET refunded_minor = 0 WHERE order_id = noted('cancelled, refund under way');
            """,
        "money that came after the cancellation": """
            UPDATE payments SET state = 'captured', captured_minor = 1 WHERE id = paying('cancelled unpaid');
            CALL move(paying('cancelled unpaid'), 'captured', 'x');
            UPDATE orders SET payment_status = 'refund_due' WHERE id = noted('cancelled unpaid');
            """,
    },
    "due requests": {
        "a request without an answer": """
            UPDATE provider_requests SET created_at = now() - interval '61 minutes' WHERE payment_id = paying('asked to pay');
            """,
    },
    "awaited answers": {
        "a payment that no request creates": "CALL settle(paying('asked to pay'))",
        "a refund that no request asks for": "CALL settle(paying('refund asked for'))",
        "a shipment that no capture lets go": "CALL settle(paying('capturing'))",
        "a payment whose request is lost": "DELETE FROM provider_requests WHERE payment_id = paying('asked to pay')",
    },
    "due notices": {
        "a notice that was not applied": """
            UPDATE provider_events SET received_at = now() - interval '61 minutes' WHERE kind = 'waiting';
            """,
    },
    "stored payments": {
        "a payment that is not there": """
            UPDATE idempotency_keys SET response = convert_to(uuidv7()::text, 'UTF8') WHERE method LIKE '%/CreatePayment';
            """,
        "a payment instead of a refund": """
            UPDATE idempotency_keys SET response = convert_to(paying('refund asked for')::text, 'UTF8') WHERE method LIKE '%/CreateRefund';
            """,
        "an answer that is no reference": "UPDATE idempotency_keys SET response = '\\xff00' WHERE method LIKE '%/CreatePayment'",
    },
}
"""Name of the invariant, then of the corruption: the SQL that makes it."""
