-- phase: expand
-- Discounts. Orders refer to promotions and codes, so both are archived and never deleted. An array of ids has no foreign keys: a product
-- or category that is deleted matches nothing.
CREATE TABLE promotions (
    id                 uuid PRIMARY KEY DEFAULT uuidv7(),
    name               text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind               text NOT NULL CHECK (kind IN ('percent', 'amount', 'free_delivery', 'buy_x_get_y')),
    percent_ppm        integer CHECK (percent_ppm BETWEEN 1 AND 1000000),
    amount_minor       bigint CHECK (amount_minor BETWEEN 1 AND 1000000000000),
    buy_quantity       integer CHECK (buy_quantity BETWEEN 1 AND 1000),
    get_quantity       integer CHECK (get_quantity BETWEEN 1 AND 1000),
    product_ids        uuid[] NOT NULL CHECK (cardinality(product_ids) <= 500),
    category_ids       uuid[] NOT NULL CHECK (cardinality(category_ids) <= 100),
    get_product_ids    uuid[] NOT NULL CHECK (cardinality(get_product_ids) <= 500),
    get_category_ids   uuid[] NOT NULL CHECK (cardinality(get_category_ids) <= 100),
    method_ids         uuid[] NOT NULL CHECK (cardinality(method_ids) <= 100),
    delivery_max_minor bigint CHECK (delivery_max_minor >= 0),
    min_subtotal_minor bigint NOT NULL CHECK (min_subtotal_minor >= 0),
    currency_code      text NOT NULL REFERENCES shop (currency_code),
    needs_code         boolean NOT NULL,
    starts_at          timestamptz,
    ends_at            timestamptz,  -- exclusive
    usage_limit        integer CHECK (usage_limit >= 1),
    per_buyer_limit    integer CHECK (per_buyer_limit >= 1),
    priority           integer NOT NULL CHECK (priority BETWEEN -1000 AND 1000),
    combinable         boolean NOT NULL,
    used               bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
    codes              integer NOT NULL DEFAULT 0 CHECK (codes BETWEEN 0 AND 100000),  -- the archived ones too
    version            bigint NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    archived_at        timestamptz,
    CONSTRAINT promotions_usage_check CHECK (used <= usage_limit),
    CONSTRAINT promotions_window_check CHECK (starts_at < ends_at AND isfinite(starts_at) AND isfinite(ends_at)),
    CONSTRAINT promotions_percent_check CHECK ((percent_ppm IS NOT NULL) = (kind = 'percent')),
    CONSTRAINT promotions_amount_check CHECK ((amount_minor IS NOT NULL) = (kind = 'amount')),
    CONSTRAINT promotions_quantities_check
         CHECK ((buy_quantity IS NOT NULL) = (kind = 'buy_x_get_y') AND (get_quantity IS NOT NULL) = (kind = 'buy_x_get_y')),
    CONSTRAINT promotions_get_scope_check
         CHECK (kind = 'buy_x_get_y' OR (cardinality(get_product_ids) = 0 AND cardinality(get_category_ids) = 0)),
    CONSTRAINT promotions_delivery_check CHECK (kind = 'free_delivery' OR (cardinality(method_ids) = 0 AND delivery_max_minor IS NULL))
);

CREATE INDEX promotions_live ON promotions (id) WHERE archived_at IS NULL;

CREATE TRIGGER promotions_are_kept BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON promotions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();

-- A code that was given out once is taken for ever, in every spelling.
CREATE TABLE promotion_codes (
    code_folded  text COLLATE "C" PRIMARY KEY CHECK (length(code_folded) BETWEEN 1 AND 64),
    code         text NOT NULL CHECK (length(code) BETWEEN 1 AND 64),  -- as its maker wrote it
    promotion_id uuid NOT NULL REFERENCES promotions (id),
    batch_id     uuid,  -- NULL for a code that was chosen
    usage_limit  integer CHECK (usage_limit >= 1),
    used         bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    archived_at  timestamptz,
    CONSTRAINT promotion_codes_usage_check CHECK (used <= usage_limit)
);

CREATE INDEX promotion_codes_by_promotion ON promotion_codes (promotion_id, code_folded);
CREATE INDEX promotion_codes_by_batch ON promotion_codes (batch_id, code_folded) WHERE batch_id IS NOT NULL;

CREATE TRIGGER promotion_codes_are_kept BEFORE DELETE OR TRUNCATE OR UPDATE OF code_folded, promotion_id ON promotion_codes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
