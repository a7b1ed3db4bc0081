-- phase: expand
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE tax_categories (
    id           text COLLATE "C" PRIMARY KEY CONSTRAINT tax_categories_id_check CHECK (id ~ '^[a-z][a-z0-9-]{0,31}$' AND id <> 'as-goods'),
    display_name text NOT NULL CONSTRAINT tax_categories_display_name_check CHECK (length(display_name) BETWEEN 1 AND 100),
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    archived_at  timestamptz,
    is_live      boolean NOT NULL GENERATED ALWAYS AS (archived_at IS NULL) STORED,
    CONSTRAINT tax_categories_is_live_key UNIQUE (id, is_live)  -- products refer to it
);

-- An empty region or category stands for all: NULLs would never be equal, and so never overlap.
CREATE TABLE tax_rates (
    id           uuid PRIMARY KEY DEFAULT uuidv7(),
    country_code text COLLATE "C" NOT NULL CONSTRAINT tax_rates_country_code_check CHECK (country_code ~ '^[A-Z]{2}$'),
    region       text COLLATE "C" NOT NULL CONSTRAINT tax_rates_region_check CHECK (length(region) <= 60),
    tax_category text COLLATE "C" NOT NULL,
    category_ref text COLLATE "C" GENERATED ALWAYS AS (nullif(tax_category, '')) STORED
                 CONSTRAINT tax_rates_category_ref_fkey REFERENCES tax_categories (id),
    name         text NOT NULL CONSTRAINT tax_rates_name_check CHECK (length(name) BETWEEN 1 AND 100),
    rate_ppm     integer NOT NULL CONSTRAINT tax_rates_rate_ppm_check CHECK (rate_ppm BETWEEN 0 AND 1000000),
    part_names   text[] NOT NULL,
    part_ppms    integer[] NOT NULL,
    valid        tstzrange NOT NULL,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    archived_at  timestamptz,
    CONSTRAINT tax_rates_parts_check CHECK (cardinality(part_names) = cardinality(part_ppms) AND cardinality(part_names) <= 10),
    CONSTRAINT tax_rates_valid_check
        CHECK (NOT isempty(valid) AND (lower_inf(valid) OR lower_inc(valid)) AND NOT upper_inc(valid)),  -- half-open
    CONSTRAINT tax_rates_overlap_excl
        EXCLUDE USING gist (country_code WITH =, region WITH =, tax_category WITH =, valid WITH &&) WHERE (archived_at IS NULL)
);

CREATE INDEX tax_rates_by_place ON tax_rates (country_code, region, tax_category, id);
CREATE INDEX tax_rates_by_category ON tax_rates (category_ref) WHERE archived_at IS NULL;
