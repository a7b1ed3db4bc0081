-- phase: expand
-- The settings of the shop that administrators change. They are not in `shop`, whose row each checkout locks by its foreign keys.
CREATE TABLE shop_settings (
    singleton          boolean PRIMARY KEY DEFAULT true CONSTRAINT shop_settings_singleton_check CHECK (singleton),
    country_code       text NOT NULL DEFAULT '' CONSTRAINT shop_settings_country_code_check CHECK (country_code ~ '^([A-Z]{2})?$'),
    prices_include_tax boolean NOT NULL DEFAULT true,
    tax_rounding       text NOT NULL DEFAULT 'line' CONSTRAINT shop_settings_tax_rounding_check CHECK (tax_rounding IN ('line', 'order')),
    time_zone          text NOT NULL DEFAULT 'UTC' CONSTRAINT shop_settings_time_zone_check CHECK (length(time_zone) BETWEEN 1 AND 64),
    version            bigint NOT NULL DEFAULT 1,
    updated_at         timestamptz NOT NULL DEFAULT now()
);
INSERT INTO shop_settings DEFAULT VALUES;
