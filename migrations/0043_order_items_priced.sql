-- phase: expand
-- The parts of the price of a line besides quantity times unit price; NULL stands for nothing.
ALTER TABLE order_items
    ADD COLUMN discount_minor bigint,
    ADD COLUMN tax_rate_ppm integer,
    ADD COLUMN tax_minor bigint,
    ADD COLUMN relief_minor bigint;

ALTER TABLE order_items
    ADD CONSTRAINT order_items_discount_check
    CHECK (least(discount_minor, relief_minor, tax_minor, tax_rate_ppm) >= 0
           AND discount_minor + relief_minor <= quantity * unit_price_minor) NOT VALID;
