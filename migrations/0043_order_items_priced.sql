-- phase: expand
-- The parts of the price of a line besides quantity times unit price; NULL stands for nothing.
ALTER TABLE order_items
    ADD COLUMN discount_minor bigint,
    ADD COLUMN tax_rate_ppm integer,
    ADD COLUMN tax_minor bigint,
    ADD COLUMN relief_minor bigint;

ALTER TABLE order_items
    ADD CONSTRAINT order_items_discount_check
    CHECK (discount_minor BETWEEN 0 AND quantity * unit_price_minor
           AND tax_rate_ppm BETWEEN 0 AND 1000000
           AND tax_minor >= 0
           AND relief_minor BETWEEN 0 AND quantity * unit_price_minor - discount_minor) NOT VALID;
