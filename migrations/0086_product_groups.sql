-- phase: expand
-- Groups of products that differ in options, such as size and colour. Range of prices and number are those of the variants on sale, and are
-- written with them. A checkout neither reads nor writes a group: it would be one hot row for all its buyers.
CREATE TABLE product_groups (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    code            text COLLATE "C" NOT NULL CONSTRAINT product_groups_code_key UNIQUE,  -- names the group in files
    name            text NOT NULL,
    varies_by       text[] NOT NULL,  -- the names of the options, in their order
    currency_code   text NOT NULL REFERENCES shop (currency_code),
    min_price_minor bigint,
    max_price_minor bigint,
    variants        integer NOT NULL DEFAULT 0,
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT product_groups_varies_by_check CHECK (cardinality(varies_by) BETWEEN 1 AND 5),
    CONSTRAINT product_groups_variants_check CHECK (variants BETWEEN 0 AND 200),
    CONSTRAINT product_groups_prices_check
        CHECK (CASE WHEN variants = 0 THEN num_nonnulls(min_price_minor, max_price_minor) = 0
                    ELSE coalesce(0 <= min_price_minor AND min_price_minor <= max_price_minor, false) END)
);

CREATE INDEX product_groups_on_sale ON product_groups (id) WHERE variants > 0;
