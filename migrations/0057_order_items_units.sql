-- phase: expand
-- Units that were shipped count as shipped also once they are delivered or returned.
ALTER TABLE order_items
    ADD COLUMN shipped integer NOT NULL DEFAULT 0,
    ADD COLUMN delivered integer NOT NULL DEFAULT 0,
    ADD COLUMN cancelled integer NOT NULL DEFAULT 0,
    ADD COLUMN returned integer NOT NULL DEFAULT 0,
    ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0;

ALTER TABLE order_items
    ADD CONSTRAINT order_items_units_check
    CHECK (least(shipped, delivered, cancelled, returned, refunded_minor) >= 0
           AND shipped + cancelled <= quantity AND delivered <= shipped AND returned <= shipped) NOT VALID;
