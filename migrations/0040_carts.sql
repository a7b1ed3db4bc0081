-- phase: expand
-- The header of a cart: where it goes, how, and with which codes. An account without a row has an empty header.
CREATE SEQUENCE cart_versions;

CREATE TABLE carts (
    account_id uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    shipping_address jsonb,
    billing_address jsonb,
    shipping_method_id uuid REFERENCES shipping_methods (id),
    codes text[] NOT NULL DEFAULT '{}',
    contact_email text,
    note text NOT NULL DEFAULT '',
    version bigint NOT NULL DEFAULT nextval('cart_versions'),  -- never twice, also for the header after an order
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT carts_codes_check CHECK (cardinality(codes) <= 10),
    CONSTRAINT carts_note_check CHECK (length(note) <= 1000)
);

-- A price that the shop has named: the parts of it, and a digest of all that it depends on.
CREATE TABLE quotes (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    digest bytea NOT NULL,
    price jsonb NOT NULL,
    currency_code text NOT NULL REFERENCES shop (currency_code),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX quotes_by_account ON quotes (account_id, id);

CREATE INDEX quotes_by_expiry ON quotes (expires_at);

-- Codes that an account has tried in vain since a time.
CREATE TABLE promotion_guesses (
    account_id uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    guesses integer NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX promotion_guesses_by_age ON promotion_guesses (since);
