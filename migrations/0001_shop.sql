-- The whole shop: accounts, catalog, carts, orders, the keys that make calls repeatable, and the change feed.
-- Amounts are bigint minor units of the shop's one currency; ids are UUIDv7, so they sort by creation.

CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- One row. Changing the currency of a shop would reprice everything silently, so a server with another one refuses to start.
CREATE TABLE shop (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    currency_code text NOT NULL CHECK (currency_code ~ '^[A-Z]{3}$')
);

CREATE TABLE accounts (
    id            uuid PRIMARY KEY DEFAULT uuidv7(),
    email         text NOT NULL CONSTRAINT accounts_email_key UNIQUE CHECK (email = lower(email)),
    full_name     text NOT NULL,
    role          text NOT NULL CHECK (role IN ('user', 'admin')),
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE categories (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    name       text NOT NULL CONSTRAINT categories_name_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- unaccent() itself is only STABLE, because its dictionary could be altered; ours is fixed, and an index needs IMMUTABLE.
CREATE FUNCTION fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, value));

CREATE TABLE products (
    id          uuid PRIMARY KEY DEFAULT uuidv7(),
    name        text NOT NULL,
    description text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    category_id uuid REFERENCES categories (id),
    sku         text,
    stock       integer NOT NULL CONSTRAINT products_stock_check CHECK (stock >= 0),
    image_urls  text[] NOT NULL,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    search      tsvector NOT NULL GENERATED ALWAYS AS (
                    setweight(to_tsvector('english', fold(name)), 'A')
                    || setweight(to_tsvector('simple', fold(coalesce(sku, ''))), 'B')
                    || setweight(to_tsvector('english', fold(description)), 'C')
                ) STORED
) WITH (fillfactor = 85);  -- room for the new version of a row on its page: no index holds stock or version, so a sale touches no index

CREATE UNIQUE INDEX products_sku_key ON products (sku) WHERE deleted_at IS NULL;
CREATE INDEX products_by_price ON products (price_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_name ON products (name COLLATE "C", id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_category ON products (category_id, id);
CREATE INDEX products_by_category_price ON products (category_id, price_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_category_name ON products (category_id, name COLLATE "C", id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_search ON products USING gin (search) WHERE deleted_at IS NULL;
CREATE INDEX products_by_similar_name ON products USING gin (fold(name) gin_trgm_ops) WHERE deleted_at IS NULL;

CREATE TABLE cart_items (
    account_id       uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    product_id       uuid NOT NULL REFERENCES products (id),
    quantity         integer NOT NULL CONSTRAINT cart_items_quantity_check CHECK (quantity BETWEEN 1 AND 1000),
    unit_price_minor bigint NOT NULL,  -- the price when the line was made, to tell the buyer of a change
    added_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, product_id)
);

CREATE INDEX cart_items_by_product ON cart_items (product_id);

CREATE TABLE orders (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    account_id      uuid NOT NULL REFERENCES accounts (id),
    status          text NOT NULL CHECK (status IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded')),
    currency_code   text NOT NULL,
    total_minor     bigint NOT NULL CHECK (total_minor >= 0),
    idempotency_key text,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_by_account ON orders (account_id, id);
CREATE UNIQUE INDEX orders_idempotency_key ON orders (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX orders_by_status ON orders (status, id);

CREATE TABLE order_items (
    order_id         uuid NOT NULL REFERENCES orders (id),
    product_id       uuid NOT NULL REFERENCES products (id),
    product_name     text NOT NULL,
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    quantity         integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
);

CREATE INDEX order_items_by_product ON order_items (product_id);

-- Every status an order has had: who, when and why.
CREATE TABLE order_history (
    order_id   uuid NOT NULL REFERENCES orders (id),
    version    integer NOT NULL,
    status     text NOT NULL,
    actor_id   uuid NOT NULL REFERENCES accounts (id),
    reason     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, version)
);

CREATE INDEX order_history_by_actor ON order_history (actor_id);

-- Append-only; a product's stock is the sum of its deltas.
CREATE TABLE stock_ledger (
    product_id uuid NOT NULL REFERENCES products (id),
    id         bigint GENERATED ALWAYS AS IDENTITY,
    order_id   uuid REFERENCES orders (id),
    kind       text NOT NULL CHECK (kind IN ('initial', 'sale', 'cancel', 'adjust')),
    delta      integer NOT NULL,
    actor_id   uuid REFERENCES accounts (id),  -- NULL for a sale: the order has its buyer
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, id),
    CHECK ((order_id IS NOT NULL) = (kind IN ('sale', 'cancel')))
);

CREATE INDEX stock_ledger_by_actor ON stock_ledger (actor_id) WHERE actor_id IS NOT NULL;
-- An order takes a product once and gives it back at most once.
CREATE UNIQUE INDEX stock_ledger_once ON stock_ledger (order_id, product_id, kind) WHERE order_id IS NOT NULL;

-- The stored answers of calls that brought a key; written in the transaction of their effect.
CREATE TABLE idempotency_keys (
    scope_id    uuid NOT NULL,  -- an account, or the nil UUID for calls that nobody is logged in for (signup)
    key         text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    method      text NOT NULL,
    fingerprint bytea NOT NULL,  -- a keyed digest of method and request
    response    bytea,           -- NULL only inside the transaction that writes it
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope_id, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- The change feed. Readers go by (xid, id) and stop below the oldest running transaction, so a late commit is never skipped.
CREATE TABLE events (
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id         bigint GENERATED ALWAYS AS IDENTITY,
    kind       text NOT NULL,
    subject_id uuid NOT NULL,
    payload    jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (xid, id)
);

CREATE INDEX events_by_age ON events (created_at);
