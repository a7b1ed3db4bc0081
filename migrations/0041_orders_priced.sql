-- phase: expand
-- The parts of an order besides its lines. Orders that cost just the sum of their lines have no pricing_version.
ALTER TABLE orders
    ADD COLUMN number text,
    ADD COLUMN contact_email text,
    ADD COLUMN note text,
    ADD COLUMN shipping_address jsonb,
    ADD COLUMN billing_address jsonb,
    ADD COLUMN quote_id uuid,
    ADD COLUMN pricing_version smallint,
    ADD COLUMN prices_include_tax boolean,
    ADD COLUMN tax_rounding text,
    ADD COLUMN tax_treatment text,
    ADD COLUMN shipping_method_id uuid,
    ADD COLUMN shipping_method_name text,
    ADD COLUMN delivery_minor bigint,
    ADD COLUMN delivery_discount_minor bigint,
    ADD COLUMN delivery_tax_minor bigint,
    ADD COLUMN delivery_relief_minor bigint;

ALTER TABLE orders
    ADD CONSTRAINT orders_pricing_version_check
    CHECK (num_nulls(pricing_version, prices_include_tax, tax_rounding) IN (0, 3)) NOT VALID,
    ADD CONSTRAINT orders_delivery_check
    CHECK ((shipping_method_id IS NULL) = (delivery_minor IS NULL)
           AND least(delivery_discount_minor, delivery_relief_minor, delivery_tax_minor) >= 0
           AND delivery_discount_minor + delivery_relief_minor <= delivery_minor) NOT VALID;
