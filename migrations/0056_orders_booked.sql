-- phase: expand
-- NULL in an order that no worker of this release has changed: then `status` alone says what was paid and shipped.
ALTER TABLE orders
    ADD COLUMN payment_status text,
    ADD COLUMN fulfillment_status text,
    ADD COLUMN booked_version integer;  -- the version up to which payments, shipments and units account for the status
