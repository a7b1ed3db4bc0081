-- phase: expand
ALTER TABLE accounts
    VALIDATE CONSTRAINT accounts_identity_check,
    VALIDATE CONSTRAINT accounts_erased_check;
-- No order is erased yet, so its constraint holds for the rows that are there, and needs no validation.
ALTER TABLE orders
    -- When the data of the buyer was erased; NULL for all other orders.
    ADD COLUMN erased_at timestamptz,
    ADD CONSTRAINT orders_erased_check
    CHECK (erased_at IS NULL OR num_nonnulls(contact_email, note, idempotency_key) = 0) NOT VALID;
