-- phase: expand
-- The parts of an order's price. Like its lines they refer to the order without foreign keys (see 0019_orders_kept.sql).
CREATE TABLE order_discounts (
    order_id uuid NOT NULL,
    position smallint NOT NULL,
    promotion_id uuid NOT NULL,
    name text NOT NULL,
    product_id uuid,
    amount_minor bigint NOT NULL CONSTRAINT order_discounts_amount_minor_check CHECK (amount_minor > 0),
    currency_code text NOT NULL,
    PRIMARY KEY (order_id, position)
);

CREATE TABLE order_taxes (
    order_id uuid NOT NULL,
    position smallint NOT NULL,
    name text NOT NULL,
    rate_ppm integer NOT NULL,
    net_minor bigint NOT NULL CONSTRAINT order_taxes_net_minor_check CHECK (net_minor >= 0),
    tax_minor bigint NOT NULL CONSTRAINT order_taxes_tax_minor_check CHECK (tax_minor >= 0),
    delivery_net_minor bigint NOT NULL CONSTRAINT order_taxes_delivery_net_check CHECK (delivery_net_minor BETWEEN 0 AND net_minor),
    delivery_tax_minor bigint NOT NULL CONSTRAINT order_taxes_delivery_tax_check CHECK (delivery_tax_minor BETWEEN 0 AND tax_minor),
    currency_code text NOT NULL,
    PRIMARY KEY (order_id, position)
);
