-- phase: expand
ALTER TABLE orders
    VALIDATE CONSTRAINT orders_pricing_version_check,
    VALIDATE CONSTRAINT orders_delivery_check;
