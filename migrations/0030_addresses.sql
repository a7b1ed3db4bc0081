-- phase: expand
CREATE TABLE addresses (
    id           uuid PRIMARY KEY DEFAULT uuidv7(),
    account_id   uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    country_code text NOT NULL CHECK (country_code ~ '^[A-Z]{2}$'),
    recipient    text NOT NULL,
    company      text NOT NULL,
    street_lines text[] NOT NULL CHECK (cardinality(street_lines) BETWEEN 1 AND 4),
    city_area    text NOT NULL,
    city         text NOT NULL,
    region       text NOT NULL,
    postal_code  text NOT NULL,
    sorting_code text NOT NULL,
    phone        text NOT NULL CHECK (phone ~ '^(\+[0-9]+)?$'),
    vat_number   text NOT NULL,
    is_default   boolean NOT NULL,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (recipient <> '' OR company <> '')
);

CREATE INDEX addresses_by_account ON addresses (account_id, id);
CREATE UNIQUE INDEX addresses_default_key ON addresses (account_id) WHERE is_default;
