-- phase: expand
-- Delivery: zones in which it costs the same, and methods with a rate for each zone that they serve. Orders refer to methods, so zones and
-- methods are archived, never deleted. A transaction that writes one of these tables has locked price_rules first, so they take turns.
CREATE TABLE shipping_zones (
    id            uuid PRIMARY KEY DEFAULT uuidv7(),
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    name_key      bytea NOT NULL,
    name_key_rule smallint NOT NULL,
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    archived_at   timestamptz,
    is_live       boolean NOT NULL GENERATED ALWAYS AS (archived_at IS NULL) STORED,
    CONSTRAINT shipping_zones_is_live_key UNIQUE (id, is_live)  -- areas refer to it
);

CREATE INDEX shipping_zones_by_name_key ON shipping_zones (name_key, id);
CREATE INDEX shipping_zones_live_by_name_key ON shipping_zones (name_key, id) WHERE archived_at IS NULL;

-- A country, one of its regions, or its postal codes that begin with a prefix; '' for none. Archiving a zone frees its areas by the cascade.
CREATE TABLE shipping_areas (
    zone_id       uuid NOT NULL,
    country_code  text NOT NULL CHECK (country_code ~ '^[A-Z]{2}$'),
    region        text NOT NULL CHECK (length(region) <= 100),
    postal_prefix text NOT NULL CHECK (length(postal_prefix) <= 20),
    is_live       boolean NOT NULL DEFAULT true,
    PRIMARY KEY (zone_id, country_code, region, postal_prefix),
    CONSTRAINT shipping_areas_place_check CHECK (region = '' OR postal_prefix = ''),
    CONSTRAINT shipping_areas_zone_fkey FOREIGN KEY (zone_id, is_live) REFERENCES shipping_zones (id, is_live) ON UPDATE CASCADE
);

CREATE UNIQUE INDEX shipping_areas_place_key ON shipping_areas (country_code, region, postal_prefix) WHERE is_live;

CREATE TABLE shipping_methods (
    id           uuid PRIMARY KEY DEFAULT uuidv7(),
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    description  text NOT NULL CHECK (length(description) <= 1000),
    position     integer NOT NULL CHECK (position BETWEEN 0 AND 1000000),
    tax_category text COLLATE "C" NOT NULL,  -- '' bears no tax, 'as-goods' that of the goods
    category_ref text COLLATE "C" GENERATED ALWAYS AS (nullif(nullif(tax_category, ''), 'as-goods')) STORED
                 CONSTRAINT shipping_methods_category_ref_fkey REFERENCES tax_categories (id),
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    archived_at  timestamptz
);

CREATE INDEX shipping_methods_by_position ON shipping_methods (position, id);
CREATE INDEX shipping_methods_live_by_position ON shipping_methods (position, id) WHERE archived_at IS NULL;

-- The prices of a method in a zone: from starts[n] on, in grams or minor units, a delivery costs prices_minor[n].
CREATE TABLE shipping_rates (
    method_id       uuid NOT NULL REFERENCES shipping_methods (id),
    zone_id         uuid NOT NULL REFERENCES shipping_zones (id),
    basis           text NOT NULL CHECK (basis IN ('weight', 'subtotal')),
    starts          bigint[] NOT NULL CHECK (cardinality(starts) BETWEEN 1 AND 50 AND 0 <= ALL (starts)),
    prices_minor    bigint[] NOT NULL CHECK (0 <= ALL (prices_minor)),
    ends_before     bigint CHECK (ends_before > ALL (starts)),  -- NULL for no end
    free_from_minor bigint CHECK (free_from_minor >= 0),        -- NULL if it is never free
    currency_code   text NOT NULL REFERENCES shop (currency_code),
    PRIMARY KEY (method_id, zone_id),
    CONSTRAINT shipping_rates_tiers_check CHECK (cardinality(starts) = cardinality(prices_minor))
);

CREATE INDEX shipping_rates_by_zone ON shipping_rates (zone_id);
