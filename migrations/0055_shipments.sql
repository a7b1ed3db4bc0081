-- phase: expand
CREATE TABLE shipments (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id        uuid NOT NULL REFERENCES orders (id),
    state           text NOT NULL CHECK (state IN ('prepared', 'capturing', 'shipped', 'delivered', 'cancelled')),
    carrier         text NOT NULL CHECK (length(carrier) <= 100),
    tracking_number text NOT NULL CHECK (length(tracking_number) <= 100),
    tracking_url    text NOT NULL CHECK (length(tracking_url) <= 2000),
    failure         text NOT NULL DEFAULT '',  -- why its payment could not be captured
    actor_kind      text NOT NULL,
    actor_id        uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    shipped_at      timestamptz,
    delivered_at    timestamptz
);

CREATE INDEX shipments_by_order ON shipments (order_id, id);

CREATE TABLE shipment_items (
    shipment_id uuid NOT NULL REFERENCES shipments (id),
    product_id  uuid NOT NULL,
    quantity    integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (shipment_id, product_id)
);

CREATE TABLE returns (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id   uuid NOT NULL REFERENCES orders (id),
    restocked  boolean NOT NULL,
    reason     text NOT NULL CHECK (length(reason) <= 500),
    actor_kind text NOT NULL,
    actor_id   uuid,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX returns_by_order ON returns (order_id, id);

CREATE TABLE return_items (
    return_id  uuid NOT NULL REFERENCES returns (id),
    product_id uuid NOT NULL,
    quantity   integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (return_id, product_id)
);
