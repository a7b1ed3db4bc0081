-- phase: expand
-- Units of an order come back by returns too, and are cancelled in several steps: each has its id in reference_id.
ALTER TABLE stock_ledger
    ADD COLUMN reference_id uuid,
    ADD CONSTRAINT stock_ledger_actor_check
    CHECK (actor_kind IN ('buyer', 'administrator', 'system', 'provider')) NOT VALID,
    ADD CONSTRAINT stock_ledger_order_check
    CHECK ((order_id IS NOT NULL) = (kind IN ('sale', 'cancel', 'return'))) NOT VALID,
    ADD CONSTRAINT stock_ledger_kinds_check
    CHECK (kind IN ('initial', 'sale', 'cancel', 'adjust', 'return')) NOT VALID;
