-- The schema after all migrations. Made by `make schema`, for reading only: a database is made by `mercato migrate`.

CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA public;

CREATE TYPE public.pgqueuer_status AS ENUM (
    'queued',
    'picked',
    'successful',
    'exception',
    'canceled',
    'deleted',
    'failed'
);

CREATE FUNCTION public.complete_category_ids() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    completed uuid[];

BEGIN
    SELECT ARRAY[id] || ancestors INTO completed FROM categories WHERE id = NEW.category_ids[1] FOR SHARE;

    NEW.category_ids := coalesce(completed, NEW.category_ids);

    RETURN NEW;

END
$$;

CREATE FUNCTION public.drop_category_slugs() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM slugs WHERE kind = 'category' AND subject_id = OLD.id;

    RETURN NULL;

END
$$;

CREATE FUNCTION public.drop_group_slugs() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM slugs WHERE kind = 'group' AND subject_id = OLD.id;

    RETURN NULL;

END
$$;

CREATE FUNCTION public.fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, value));

CREATE FUNCTION public.list_document() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM category_listings WHERE category_id = ANY (OLD.category_ids[2:]) AND id = OLD.product_id;

    END IF;

    IF TG_OP <> 'DELETE' THEN
        INSERT INTO category_listings (category_id, id, price_minor, name_key)
        SELECT category_id, NEW.product_id, NEW.price_minor, NEW.name_key FROM unnest(NEW.category_ids[2:]) AS above (category_id);

    END IF;

    RETURN NULL;

END
$$;

CREATE FUNCTION public.refuse_removal() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted, and their ids never change', tg_table_name USING ERRCODE = 'restrict_violation';

END
$$;

CREATE TABLE public.promotion_buyers (
    promotion_id uuid NOT NULL,
    subject text NOT NULL,
    uses integer NOT NULL,
    CONSTRAINT promotion_buyers_uses_check CHECK ((uses >= 0))
);

CREATE FUNCTION public.uses_of_buyers(promotions uuid[], subjects text[]) RETURNS SETOF public.promotion_buyers
    LANGUAGE sql
    AS $$
SELECT promotion_id, subject, uses FROM promotion_buyers WHERE promotion_id = ANY (promotions) AND subject = ANY (subjects)
$$;

CREATE TABLE public.accepted_differences (
    id text NOT NULL,
    reason text NOT NULL,
    accepted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT accepted_differences_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

CREATE TABLE public.account_taxes (
    account_id uuid NOT NULL,
    treatment text NOT NULL,
    tax_number text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT account_taxes_tax_number_check CHECK ((length(tax_number) <= 50)),
    CONSTRAINT account_taxes_treatment_check CHECK ((treatment = ANY (ARRAY['normal'::text, 'reverse_charge'::text, 'exempt'::text])))
);

CREATE TABLE public.accounts (
    id uuid DEFAULT uuidv7() NOT NULL,
    email text,
    full_name text NOT NULL,
    role text NOT NULL,
    password_hash text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    disabled_at timestamp with time zone,
    email_verified_at timestamp with time zone,
    known_networks bytea[] DEFAULT '{}'::bytea[] NOT NULL,
    network bytea,
    verified_contact text,
    guest_check_at timestamp with time zone,
    erased_at timestamp with time zone,
    CONSTRAINT accounts_email_check CHECK ((email = lower(email))),
    CONSTRAINT accounts_erased_check CHECK (((erased_at IS NULL) OR ((num_nonnulls(email, password_hash, network, verified_contact) = 0) AND (full_name = ''::text) AND (known_networks = '{}'::bytea[])))),
    CONSTRAINT accounts_identity_check CHECK (((role = 'guest'::text) OR (erased_at IS NOT NULL) OR ((email IS NOT NULL) AND (password_hash IS NOT NULL)))),
    CONSTRAINT accounts_roles_check CHECK ((role = ANY (ARRAY['user'::text, 'admin'::text, 'guest'::text])))
);

CREATE TABLE public.addresses (
    id uuid DEFAULT uuidv7() NOT NULL,
    account_id uuid NOT NULL,
    country_code text NOT NULL,
    recipient text NOT NULL,
    company text NOT NULL,
    street_lines text[] NOT NULL,
    city_area text NOT NULL,
    city text NOT NULL,
    region text NOT NULL,
    postal_code text NOT NULL,
    sorting_code text NOT NULL,
    phone text NOT NULL,
    vat_number text NOT NULL,
    is_default boolean NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT addresses_check CHECK (((recipient <> ''::text) OR (company <> ''::text))),
    CONSTRAINT addresses_country_code_check CHECK ((country_code ~ '^[A-Z]{2}$'::text)),
    CONSTRAINT addresses_phone_check CHECK ((phone ~ '^(\+[0-9]+)?$'::text)),
    CONSTRAINT addresses_street_lines_check CHECK (((cardinality(street_lines) >= 1) AND (cardinality(street_lines) <= 4)))
);

CREATE TABLE public.audit_log (
    id uuid DEFAULT uuidv7() NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    action text NOT NULL,
    subject_id uuid,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    request_id text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT audit_log_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['buyer'::text, 'administrator'::text, 'system'::text])))
);

CREATE TABLE public.cart_items (
    account_id uuid NOT NULL,
    product_id uuid NOT NULL,
    quantity integer NOT NULL,
    unit_price_minor bigint NOT NULL,
    currency_code text NOT NULL,
    added_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT cart_items_quantity_check CHECK (((quantity >= 1) AND (quantity <= 1000)))
);

CREATE SEQUENCE public.cart_versions
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.carts (
    account_id uuid NOT NULL,
    shipping_address jsonb,
    billing_address jsonb,
    shipping_method_id uuid,
    codes text[] DEFAULT '{}'::text[] NOT NULL,
    contact_email text,
    note text DEFAULT ''::text NOT NULL,
    version bigint DEFAULT nextval('public.cart_versions'::regclass) NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT carts_codes_check CHECK ((cardinality(codes) <= 10)),
    CONSTRAINT carts_note_check CHECK ((length(note) <= 1000))
);

CREATE TABLE public.categories (
    id uuid DEFAULT uuidv7() NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    name_key bytea DEFAULT '\x'::bytea NOT NULL,
    name_key_rule smallint DEFAULT 0 NOT NULL,
    keyed_name text DEFAULT ''::text NOT NULL,
    parent_id uuid,
    ancestors uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    "position" integer DEFAULT 0 NOT NULL,
    about text DEFAULT ''::text NOT NULL,
    slug text COLLATE pg_catalog."C",
    CONSTRAINT categories_depth_check CHECK ((cardinality(ancestors) <= 7)),
    CONSTRAINT categories_parent_check CHECK ((NOT (parent_id IS DISTINCT FROM ancestors[cardinality(ancestors)]))),
    CONSTRAINT categories_position_check CHECK (("position" >= 0)),
    CONSTRAINT categories_ring_check CHECK ((id <> ALL (ancestors)))
);

CREATE TABLE public.category_listings (
    category_id uuid NOT NULL,
    id uuid NOT NULL,
    price_minor bigint NOT NULL,
    name_key bytea NOT NULL
);

CREATE TABLE public.database_origin (
    singleton boolean DEFAULT true NOT NULL,
    system_identifier bigint NOT NULL,
    timeline text NOT NULL,
    restores integer DEFAULT 0 NOT NULL,
    restored_at timestamp with time zone,
    restored_to timestamp with time zone,
    payments_paused_at timestamp with time zone,
    payments_resumed_at timestamp with time zone,
    CONSTRAINT database_origin_restores_check CHECK (((restores >= 0) AND (restores <= 2000))),
    CONSTRAINT database_origin_singleton_check CHECK (singleton),
    CONSTRAINT database_origin_timeline_check CHECK ((timeline ~ '^[0-9A-F]{8}$'::text))
);

CREATE TABLE public.disputes (
    id uuid DEFAULT uuidv7() NOT NULL,
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    provider_ref text NOT NULL,
    state text NOT NULL,
    amount_minor bigint NOT NULL,
    withdrawn_minor bigint NOT NULL,
    currency_code text NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT disputes_state_check CHECK ((state = ANY (ARRAY['inquiry'::text, 'open'::text, 'won'::text, 'lost'::text])))
);

CREATE TABLE public.events (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    id bigint NOT NULL,
    kind text NOT NULL,
    version smallint DEFAULT 1 NOT NULL,
    subject_id uuid NOT NULL,
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    traceparent text DEFAULT NULLIF(current_setting('mercato.traceparent'::text, true), ''::text)
);

ALTER TABLE public.events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.feed_cursors (
    name text NOT NULL,
    xid xid8 NOT NULL,
    id bigint NOT NULL,
    moved_at timestamp with time zone DEFAULT now() NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    lost_at timestamp with time zone
);

CREATE TABLE public.feed_quarantine (
    id bigint NOT NULL,
    consumer text NOT NULL,
    xid xid8 NOT NULL,
    event_id bigint NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    tries integer NOT NULL,
    failure text NOT NULL,
    quarantined_at timestamp with time zone DEFAULT now() NOT NULL,
    retry_at timestamp with time zone
);

ALTER TABLE public.feed_quarantine ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.feed_quarantine_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.idempotency_keys (
    scope_id uuid NOT NULL,
    key text NOT NULL,
    method text NOT NULL,
    fingerprint bytea NOT NULL,
    response bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);

CREATE TABLE public.mails (
    id uuid DEFAULT uuidv7() NOT NULL,
    template text NOT NULL,
    address text NOT NULL,
    order_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    leased_until timestamp with time zone,
    sent_at timestamp with time zone,
    failure text,
    dropped_at timestamp with time zone,
    account_id uuid,
    CONSTRAINT mails_check CHECK (((order_id IS NOT NULL) = (template = ANY (ARRAY['order_placed'::text, 'order_cancelled'::text])))),
    CONSTRAINT mails_template_check CHECK ((template = ANY (ARRAY['verify_email'::text, 'reset_password'::text, 'order_placed'::text, 'order_cancelled'::text])))
);

CREATE TABLE public.one_time_tokens (
    digest bytea NOT NULL,
    mail_id uuid NOT NULL,
    account_id uuid NOT NULL,
    purpose text NOT NULL,
    email text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    CONSTRAINT one_time_tokens_purpose_check CHECK ((purpose = ANY (ARRAY['verify_email'::text, 'reset_password'::text])))
);

CREATE VIEW public.live_one_time_tokens AS
 SELECT token.digest,
    token.purpose,
    token.account_id,
    token.email
   FROM (public.one_time_tokens token
     JOIN public.accounts account ON (((account.id = token.account_id) AND (account.email = token.email) AND (account.disabled_at IS NULL))))
  WHERE ((token.used_at IS NULL) AND (token.expires_at > now()) AND (NOT ((token.purpose = 'reset_password'::text) AND (EXISTS ( SELECT
           FROM public.mails newer
          WHERE ((newer.template = 'reset_password'::text) AND (newer.address = token.email) AND (newer.id > token.mail_id)))))));

CREATE TABLE public.login_attempts (
    address_digest bytea NOT NULL,
    failures integer NOT NULL,
    blocked_until timestamp with time zone NOT NULL,
    leases timestamp with time zone[] DEFAULT '{}'::timestamp with time zone[] NOT NULL,
    CONSTRAINT login_attempts_failures_check CHECK ((failures > 0))
);

CREATE TABLE public.mail_allowances (
    address text NOT NULL,
    template text NOT NULL,
    times timestamp with time zone[] NOT NULL,
    last_at timestamp with time zone NOT NULL
);

CREATE TABLE public.order_discounts (
    order_id uuid NOT NULL,
    "position" smallint NOT NULL,
    promotion_id uuid NOT NULL,
    name text NOT NULL,
    product_id uuid,
    amount_minor bigint NOT NULL,
    currency_code text NOT NULL,
    CONSTRAINT order_discounts_amount_minor_check CHECK ((amount_minor > 0))
);

CREATE TABLE public.order_history (
    order_id uuid NOT NULL,
    version integer NOT NULL,
    status text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    reason text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT order_history_actor_check CHECK ((actor_kind = ANY (ARRAY['buyer'::text, 'administrator'::text, 'system'::text, 'provider'::text])))
);

CREATE TABLE public.order_items (
    order_id uuid NOT NULL,
    product_id uuid NOT NULL,
    product_name text NOT NULL,
    unit_price_minor bigint NOT NULL,
    currency_code text NOT NULL,
    quantity integer NOT NULL,
    discount_minor bigint,
    tax_rate_ppm integer,
    tax_minor bigint,
    relief_minor bigint,
    shipped integer DEFAULT 0 NOT NULL,
    delivered integer DEFAULT 0 NOT NULL,
    cancelled integer DEFAULT 0 NOT NULL,
    returned integer DEFAULT 0 NOT NULL,
    refunded_minor bigint DEFAULT 0 NOT NULL,
    options_text text DEFAULT ''::text NOT NULL,
    CONSTRAINT order_items_discount_check CHECK (((LEAST(discount_minor, relief_minor, tax_minor, (tax_rate_ppm)::bigint) >= 0) AND ((discount_minor + relief_minor) <= (quantity * unit_price_minor)))),
    CONSTRAINT order_items_quantity_check CHECK ((quantity > 0)),
    CONSTRAINT order_items_unit_price_minor_check CHECK ((unit_price_minor >= 0)),
    CONSTRAINT order_items_units_check CHECK (((LEAST((shipped)::bigint, (delivered)::bigint, (cancelled)::bigint, (returned)::bigint, refunded_minor) >= 0) AND ((shipped + cancelled) <= quantity) AND (delivered <= shipped) AND (returned <= shipped)))
);

CREATE TABLE public.order_notes (
    id uuid DEFAULT uuidv7() NOT NULL,
    order_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    text text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT order_notes_text_check CHECK (((length(text) >= 1) AND (length(text) <= 2000)))
);

CREATE TABLE public.order_taxes (
    order_id uuid NOT NULL,
    "position" smallint NOT NULL,
    name text NOT NULL,
    rate_ppm integer NOT NULL,
    net_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    delivery_net_minor bigint NOT NULL,
    delivery_tax_minor bigint NOT NULL,
    currency_code text NOT NULL,
    CONSTRAINT order_taxes_delivery_net_check CHECK (((delivery_net_minor >= 0) AND (delivery_net_minor <= net_minor))),
    CONSTRAINT order_taxes_delivery_tax_check CHECK (((delivery_tax_minor >= 0) AND (delivery_tax_minor <= tax_minor))),
    CONSTRAINT order_taxes_net_minor_check CHECK ((net_minor >= 0)),
    CONSTRAINT order_taxes_tax_minor_check CHECK ((tax_minor >= 0))
);

CREATE TABLE public.orders (
    id uuid DEFAULT uuidv7() NOT NULL,
    account_id uuid NOT NULL,
    status text NOT NULL,
    currency_code text NOT NULL,
    total_minor bigint NOT NULL,
    idempotency_key text,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    payment_due_at timestamp with time zone,
    number text,
    contact_email text,
    note text,
    shipping_address jsonb,
    billing_address jsonb,
    quote_id uuid,
    pricing_version smallint,
    prices_include_tax boolean,
    tax_rounding text,
    tax_treatment text,
    shipping_method_id uuid,
    shipping_method_name text,
    delivery_minor bigint,
    delivery_discount_minor bigint,
    delivery_tax_minor bigint,
    delivery_relief_minor bigint,
    payment_status text,
    fulfillment_status text,
    booked_version integer,
    erased_at timestamp with time zone,
    CONSTRAINT orders_delivery_check CHECK ((((shipping_method_id IS NULL) = (delivery_minor IS NULL)) AND (LEAST(delivery_discount_minor, delivery_relief_minor, delivery_tax_minor) >= 0) AND ((delivery_discount_minor + delivery_relief_minor) <= delivery_minor))),
    CONSTRAINT orders_pricing_version_check CHECK ((num_nulls(pricing_version, prices_include_tax, tax_rounding) = ANY (ARRAY[0, 3]))),
    CONSTRAINT orders_status_check CHECK ((status = ANY (ARRAY['placed'::text, 'paid'::text, 'shipped'::text, 'delivered'::text, 'cancelled'::text, 'refunded'::text]))),
    CONSTRAINT orders_total_minor_check CHECK ((total_minor >= 0))
);

CREATE TABLE public.payment_ledger (
    payment_id uuid NOT NULL,
    id bigint NOT NULL,
    kind text NOT NULL,
    provider_ref text NOT NULL,
    amount_minor bigint NOT NULL,
    currency_code text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT payment_ledger_amount_minor_check CHECK ((amount_minor > 0)),
    CONSTRAINT payment_ledger_kind_check CHECK ((kind = ANY (ARRAY['authorized'::text, 'voided'::text, 'captured'::text, 'refunded'::text, 'refund_failed'::text, 'disputed'::text, 'dispute_won'::text, 'dispute_lost'::text, 'dispute_appealed'::text])))
);

ALTER TABLE public.payment_ledger ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.payment_ledger_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.payments (
    id uuid DEFAULT uuidv7() NOT NULL,
    order_id uuid NOT NULL,
    provider text NOT NULL,
    method text NOT NULL,
    provider_ref text,
    state text NOT NULL,
    capture_later boolean NOT NULL,
    currency_code text NOT NULL,
    amount_minor bigint NOT NULL,
    authorized_minor bigint DEFAULT 0 NOT NULL,
    captured_minor bigint DEFAULT 0 NOT NULL,
    refunding_minor bigint DEFAULT 0 NOT NULL,
    refunded_minor bigint DEFAULT 0 NOT NULL,
    disputed_minor bigint DEFAULT 0 NOT NULL,
    lost_minor bigint DEFAULT 0 NOT NULL,
    capture_before timestamp with time zone,
    failure text DEFAULT ''::text NOT NULL,
    next_read_at timestamp with time zone,
    reads integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT payments_amount_minor_check CHECK ((amount_minor > 0)),
    CONSTRAINT payments_authorized_minor_check CHECK ((authorized_minor >= 0)),
    CONSTRAINT payments_captured_check CHECK (((captured_minor >= 0) AND (captured_minor <= amount_minor))),
    CONSTRAINT payments_disputed_minor_check CHECK ((disputed_minor >= 0)),
    CONSTRAINT payments_lost_minor_check CHECK ((lost_minor >= 0)),
    CONSTRAINT payments_refunded_minor_check CHECK ((refunded_minor >= 0)),
    CONSTRAINT payments_refunding_minor_check CHECK ((refunding_minor >= 0)),
    CONSTRAINT payments_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'processing'::text, 'authorized'::text, 'captured'::text, 'cancelled'::text, 'expired'::text])))
);

CREATE TABLE public.pgqueuer (
    id bigint NOT NULL,
    priority integer NOT NULL,
    queue_manager_id uuid,
    created timestamp with time zone DEFAULT now() NOT NULL,
    updated timestamp with time zone DEFAULT now() NOT NULL,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    execute_after timestamp with time zone DEFAULT now() NOT NULL,
    status public.pgqueuer_status NOT NULL,
    entrypoint text NOT NULL,
    dedupe_key text,
    payload bytea,
    headers jsonb,
    attempts integer DEFAULT 0 NOT NULL,
    slot bigint
);

ALTER TABLE public.pgqueuer ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.pgqueuer_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.pgqueuer_log (
    id bigint NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    job_id bigint NOT NULL,
    status public.pgqueuer_status NOT NULL,
    priority integer NOT NULL,
    entrypoint text NOT NULL,
    traceback jsonb,
    aggregated boolean DEFAULT false
);

ALTER TABLE public.pgqueuer_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.pgqueuer_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.pgqueuer_statistics (
    id bigint NOT NULL,
    created timestamp with time zone DEFAULT date_trunc('sec'::text, now()) NOT NULL,
    count bigint NOT NULL,
    priority integer NOT NULL,
    status public.pgqueuer_status NOT NULL,
    entrypoint text NOT NULL
);

ALTER TABLE public.pgqueuer_statistics ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.pgqueuer_statistics_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.picture_uploads (
    id uuid DEFAULT uuidv7() NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    file text,
    digest bytea,
    refusal text DEFAULT ''::text NOT NULL,
    message text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    content_length integer,
    CONSTRAINT picture_uploads_check CHECK (((file IS NULL) = (state = 'waiting'::text))),
    CONSTRAINT picture_uploads_check1 CHECK (((digest IS NOT NULL) = (state = 'ready'::text))),
    CONSTRAINT picture_uploads_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'pending'::text, 'ready'::text, 'refused'::text])))
);

CREATE TABLE public.pictures (
    digest bytea NOT NULL,
    widths integer[] NOT NULL,
    heights integer[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    unused_at timestamp with time zone DEFAULT now(),
    condemned_at timestamp with time zone,
    lease uuid,
    leased_until timestamp with time zone,
    CONSTRAINT pictures_check CHECK (((unused_at IS NOT NULL) OR (condemned_at IS NULL))),
    CONSTRAINT pictures_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT pictures_heights_check CHECK ((cardinality(heights) = 3)),
    CONSTRAINT pictures_widths_check CHECK ((cardinality(widths) = 3))
);

CREATE TABLE public.price_rules (
    singleton boolean DEFAULT true NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    CONSTRAINT price_rules_singleton_check CHECK (singleton)
);

CREATE TABLE public.product_groups (
    id uuid DEFAULT uuidv7() NOT NULL,
    code text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    varies_by text[] NOT NULL,
    currency_code text NOT NULL,
    min_price_minor bigint,
    max_price_minor bigint,
    variants integer DEFAULT 0 NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    variant_ids uuid[],
    variant_options jsonb,
    slug text COLLATE pg_catalog."C",
    CONSTRAINT product_groups_prices_check CHECK (
CASE
    WHEN (variants = 0) THEN (num_nonnulls(min_price_minor, max_price_minor) = 0)
    ELSE COALESCE(((0 <= min_price_minor) AND (min_price_minor <= max_price_minor)), false)
END),
    CONSTRAINT product_groups_variants_check CHECK (((variants >= 0) AND (variants <= 200))),
    CONSTRAINT product_groups_varies_by_check CHECK (((cardinality(varies_by) >= 1) AND (cardinality(varies_by) <= 5)))
);

CREATE TABLE public.product_pictures (
    product_id uuid NOT NULL,
    digest bytea NOT NULL,
    "position" smallint NOT NULL,
    alt text NOT NULL,
    CONSTRAINT product_pictures_position_check CHECK (("position" >= 0))
);

CREATE TABLE public.product_search (
    product_id uuid NOT NULL,
    locale text NOT NULL,
    number bigint NOT NULL,
    rule_version integer NOT NULL,
    price_minor bigint NOT NULL,
    name text NOT NULL,
    words tsvector NOT NULL,
    category_ids uuid[] NOT NULL,
    group_id uuid,
    vocabulary text[],
    name_key bytea DEFAULT '\x'::bytea NOT NULL
);

CREATE TABLE public.products (
    id uuid DEFAULT uuidv7() NOT NULL,
    number bigint NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    price_minor bigint NOT NULL,
    currency_code text NOT NULL,
    category_id uuid,
    sku text,
    image_urls text[] NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    name_key bytea DEFAULT '\x'::bytea NOT NULL,
    tax_category text COLLATE pg_catalog."C",
    tax_category_live boolean DEFAULT true,
    needs_delivery boolean DEFAULT false NOT NULL,
    weight_grams integer DEFAULT 0 NOT NULL,
    slug text COLLATE pg_catalog."C",
    group_id uuid,
    options jsonb DEFAULT '[]'::jsonb NOT NULL,
    folded_options jsonb,
    options_text text DEFAULT ''::text NOT NULL,
    "position" integer DEFAULT 0 NOT NULL,
    is_listed boolean DEFAULT true NOT NULL,
    pictures jsonb,
    description_html text,
    CONSTRAINT products_options_check CHECK (
CASE
    WHEN (group_id IS NULL) THEN ((options = '[]'::jsonb) AND (folded_options IS NULL) AND (options_text = ''::text) AND is_listed)
    ELSE ((options <> '[]'::jsonb) AND (options_text <> ''::text))
END),
    CONSTRAINT products_price_minor_check CHECK ((price_minor >= 0)),
    CONSTRAINT products_tax_category_live_check CHECK (tax_category_live),
    CONSTRAINT products_weight_grams_check CHECK ((weight_grams >= 0))
);

ALTER TABLE public.products ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.products_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.promotion_codes (
    code_folded text NOT NULL COLLATE pg_catalog."C",
    code text NOT NULL,
    promotion_id uuid NOT NULL,
    batch_id uuid,
    usage_limit integer,
    used bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT promotion_codes_code_check CHECK (((length(code) >= 1) AND (length(code) <= 64))),
    CONSTRAINT promotion_codes_code_folded_check CHECK (((length(code_folded) >= 1) AND (length(code_folded) <= 64))),
    CONSTRAINT promotion_codes_usage_check CHECK ((used <= usage_limit)),
    CONSTRAINT promotion_codes_usage_limit_check CHECK ((usage_limit >= 1)),
    CONSTRAINT promotion_codes_used_check CHECK ((used >= 0))
);

CREATE TABLE public.promotion_guesses (
    account_id uuid NOT NULL,
    guesses integer NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.promotion_redemptions (
    order_id uuid NOT NULL,
    promotion_id uuid NOT NULL,
    code_folded text COLLATE pg_catalog."C",
    subjects text[] NOT NULL,
    amount_minor bigint NOT NULL,
    currency_code text NOT NULL,
    released_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT promotion_redemptions_amount_minor_check CHECK ((amount_minor > 0)),
    CONSTRAINT promotion_redemptions_subjects_check CHECK (((cardinality(subjects) >= 1) AND (cardinality(subjects) <= 2)))
);

CREATE TABLE public.promotions (
    id uuid DEFAULT uuidv7() NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    percent_ppm integer,
    amount_minor bigint,
    buy_quantity integer,
    get_quantity integer,
    product_ids uuid[] NOT NULL,
    category_ids uuid[] NOT NULL,
    get_product_ids uuid[] NOT NULL,
    get_category_ids uuid[] NOT NULL,
    method_ids uuid[] NOT NULL,
    delivery_max_minor bigint,
    min_subtotal_minor bigint NOT NULL,
    currency_code text NOT NULL,
    needs_code boolean NOT NULL,
    starts_at timestamp with time zone,
    ends_at timestamp with time zone,
    usage_limit integer,
    per_buyer_limit integer,
    priority integer NOT NULL,
    combinable boolean NOT NULL,
    used bigint DEFAULT 0 NOT NULL,
    codes integer DEFAULT 0 NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT promotions_amount_check CHECK (((amount_minor IS NOT NULL) = (kind = 'amount'::text))),
    CONSTRAINT promotions_amount_minor_check CHECK (((amount_minor >= 1) AND (amount_minor <= '1000000000000'::bigint))),
    CONSTRAINT promotions_buy_quantity_check CHECK (((buy_quantity >= 1) AND (buy_quantity <= 1000))),
    CONSTRAINT promotions_category_ids_check CHECK ((cardinality(category_ids) <= 100)),
    CONSTRAINT promotions_codes_check CHECK (((codes >= 0) AND (codes <= 100000))),
    CONSTRAINT promotions_delivery_check CHECK (((kind = 'free_delivery'::text) OR ((cardinality(method_ids) = 0) AND (delivery_max_minor IS NULL)))),
    CONSTRAINT promotions_delivery_max_minor_check CHECK ((delivery_max_minor >= 0)),
    CONSTRAINT promotions_get_category_ids_check CHECK ((cardinality(get_category_ids) <= 100)),
    CONSTRAINT promotions_get_product_ids_check CHECK ((cardinality(get_product_ids) <= 500)),
    CONSTRAINT promotions_get_quantity_check CHECK (((get_quantity >= 1) AND (get_quantity <= 1000))),
    CONSTRAINT promotions_get_scope_check CHECK (((kind = 'buy_x_get_y'::text) OR ((cardinality(get_product_ids) = 0) AND (cardinality(get_category_ids) = 0)))),
    CONSTRAINT promotions_kind_check CHECK ((kind = ANY (ARRAY['percent'::text, 'amount'::text, 'free_delivery'::text, 'buy_x_get_y'::text]))),
    CONSTRAINT promotions_method_ids_check CHECK ((cardinality(method_ids) <= 100)),
    CONSTRAINT promotions_min_subtotal_minor_check CHECK ((min_subtotal_minor >= 0)),
    CONSTRAINT promotions_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT promotions_per_buyer_limit_check CHECK ((per_buyer_limit >= 1)),
    CONSTRAINT promotions_percent_check CHECK (((percent_ppm IS NOT NULL) = (kind = 'percent'::text))),
    CONSTRAINT promotions_percent_ppm_check CHECK (((percent_ppm >= 1) AND (percent_ppm <= 1000000))),
    CONSTRAINT promotions_priority_check CHECK (((priority >= '-1000'::integer) AND (priority <= 1000))),
    CONSTRAINT promotions_product_ids_check CHECK ((cardinality(product_ids) <= 500)),
    CONSTRAINT promotions_quantities_check CHECK ((((buy_quantity IS NOT NULL) = (kind = 'buy_x_get_y'::text)) AND ((get_quantity IS NOT NULL) = (kind = 'buy_x_get_y'::text)))),
    CONSTRAINT promotions_usage_check CHECK ((used <= usage_limit)),
    CONSTRAINT promotions_usage_limit_check CHECK ((usage_limit >= 1)),
    CONSTRAINT promotions_used_check CHECK ((used >= 0)),
    CONSTRAINT promotions_window_check CHECK (((starts_at < ends_at) AND isfinite(starts_at) AND isfinite(ends_at)))
);

CREATE TABLE public.provider_events (
    provider text NOT NULL,
    event_id text NOT NULL,
    id uuid DEFAULT uuidv7() NOT NULL,
    kind text NOT NULL,
    provider_ref text NOT NULL,
    happened_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now() NOT NULL,
    leased_until timestamp with time zone,
    applied_at timestamp with time zone,
    quarantined_at timestamp with time zone,
    failure text DEFAULT ''::text NOT NULL,
    resolved_at timestamp with time zone
);

CREATE TABLE public.provider_requests (
    id uuid DEFAULT uuidv7() NOT NULL,
    provider text NOT NULL,
    kind text NOT NULL,
    payment_id uuid NOT NULL,
    refund_id uuid,
    amount_minor bigint NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    sent_at timestamp with time zone,
    next_at timestamp with time zone DEFAULT now() NOT NULL,
    leased_until timestamp with time zone,
    outcome text,
    code text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    settled_at timestamp with time zone,
    traceparent text DEFAULT NULLIF(current_setting('mercato.traceparent'::text, true), ''::text),
    CONSTRAINT provider_requests_kind_check CHECK ((kind = ANY (ARRAY['create'::text, 'capture'::text, 'cancel'::text, 'refund'::text]))),
    CONSTRAINT provider_requests_outcome_check CHECK ((outcome = ANY (ARRAY['succeeded'::text, 'failed'::text]))),
    CONSTRAINT provider_requests_refund_check CHECK (((kind = 'refund'::text) = (refund_id IS NOT NULL))),
    CONSTRAINT provider_requests_settled_check CHECK (((outcome IS NULL) = (settled_at IS NULL)))
);

CREATE TABLE public.quotes (
    id uuid DEFAULT uuidv7() NOT NULL,
    account_id uuid NOT NULL,
    digest bytea NOT NULL,
    price jsonb NOT NULL,
    currency_code text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE public.refresh_tokens (
    digest bytea NOT NULL,
    session_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    used_at timestamp with time zone
);

CREATE TABLE public.refund_lines (
    refund_id uuid NOT NULL,
    product_id uuid NOT NULL,
    quantity integer NOT NULL,
    amount_minor bigint NOT NULL,
    currency_code text NOT NULL,
    CONSTRAINT refund_lines_amount_minor_check CHECK ((amount_minor >= 0)),
    CONSTRAINT refund_lines_quantity_check CHECK ((quantity > 0))
);

CREATE TABLE public.refunds (
    id uuid DEFAULT uuidv7() NOT NULL,
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    state text NOT NULL,
    amount_minor bigint NOT NULL,
    currency_code text NOT NULL,
    provider_ref text,
    is_own boolean NOT NULL,
    reason text NOT NULL,
    failure text DEFAULT ''::text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT refunds_amount_minor_check CHECK ((amount_minor > 0)),
    CONSTRAINT refunds_reason_check CHECK ((length(reason) <= 500)),
    CONSTRAINT refunds_state_check CHECK ((state = ANY (ARRAY['requested'::text, 'pending'::text, 'succeeded'::text, 'failed'::text])))
);

CREATE TABLE public.return_items (
    return_id uuid NOT NULL,
    product_id uuid NOT NULL,
    quantity integer NOT NULL,
    CONSTRAINT return_items_quantity_check CHECK ((quantity > 0))
);

CREATE TABLE public.returns (
    id uuid DEFAULT uuidv7() NOT NULL,
    order_id uuid NOT NULL,
    restocked boolean NOT NULL,
    reason text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT returns_reason_check CHECK ((length(reason) <= 500))
);

CREATE TABLE public.search_words (
    word text NOT NULL COLLATE pg_catalog."C",
    products integer NOT NULL,
    stem text NOT NULL,
    keys text[] NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE public.sessions (
    id uuid DEFAULT uuidv7() NOT NULL,
    account_id uuid NOT NULL,
    user_agent text NOT NULL,
    ip_address text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    refreshed_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    end_reason text,
    is_guest boolean DEFAULT false NOT NULL,
    CONSTRAINT sessions_check CHECK (((ended_at IS NULL) = (end_reason IS NULL))),
    CONSTRAINT sessions_end_reason_check CHECK ((end_reason = ANY (ARRAY['logout'::text, 'revoked'::text, 'password'::text, 'reuse'::text, 'disabled'::text])))
);

CREATE TABLE public.shipment_items (
    shipment_id uuid NOT NULL,
    product_id uuid NOT NULL,
    quantity integer NOT NULL,
    CONSTRAINT shipment_items_quantity_check CHECK ((quantity > 0))
);

CREATE TABLE public.shipments (
    id uuid DEFAULT uuidv7() NOT NULL,
    order_id uuid NOT NULL,
    state text NOT NULL,
    carrier text NOT NULL,
    tracking_number text NOT NULL,
    tracking_url text NOT NULL,
    failure text DEFAULT ''::text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    shipped_at timestamp with time zone,
    delivered_at timestamp with time zone,
    CONSTRAINT shipments_carrier_check CHECK ((length(carrier) <= 100)),
    CONSTRAINT shipments_state_check CHECK ((state = ANY (ARRAY['prepared'::text, 'capturing'::text, 'shipped'::text, 'delivered'::text, 'cancelled'::text]))),
    CONSTRAINT shipments_tracking_number_check CHECK ((length(tracking_number) <= 100)),
    CONSTRAINT shipments_tracking_url_check CHECK ((length(tracking_url) <= 2000))
);

CREATE TABLE public.shipping_areas (
    zone_id uuid NOT NULL,
    country_code text NOT NULL,
    region text NOT NULL,
    postal_prefix text NOT NULL,
    is_live boolean DEFAULT true NOT NULL,
    CONSTRAINT shipping_areas_country_code_check CHECK ((country_code ~ '^[A-Z]{2}$'::text)),
    CONSTRAINT shipping_areas_place_check CHECK (((region = ''::text) OR (postal_prefix = ''::text))),
    CONSTRAINT shipping_areas_postal_prefix_check CHECK ((length(postal_prefix) <= 20)),
    CONSTRAINT shipping_areas_region_check CHECK ((length(region) <= 100))
);

CREATE TABLE public.shipping_methods (
    id uuid DEFAULT uuidv7() NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    "position" integer NOT NULL,
    tax_category text NOT NULL COLLATE pg_catalog."C",
    category_ref text GENERATED ALWAYS AS (NULLIF(NULLIF(tax_category, ''::text), 'as-goods'::text)) STORED COLLATE pg_catalog."C",
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT shipping_methods_description_check CHECK ((length(description) <= 1000)),
    CONSTRAINT shipping_methods_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT shipping_methods_position_check CHECK ((("position" >= 0) AND ("position" <= 1000000)))
);

CREATE TABLE public.shipping_rates (
    method_id uuid NOT NULL,
    zone_id uuid NOT NULL,
    basis text NOT NULL,
    starts bigint[] NOT NULL,
    prices_minor bigint[] NOT NULL,
    ends_before bigint,
    free_from_minor bigint,
    currency_code text NOT NULL,
    CONSTRAINT shipping_rates_basis_check CHECK ((basis = ANY (ARRAY['weight'::text, 'subtotal'::text]))),
    CONSTRAINT shipping_rates_check CHECK ((ends_before > ALL (starts))),
    CONSTRAINT shipping_rates_free_from_minor_check CHECK ((free_from_minor >= 0)),
    CONSTRAINT shipping_rates_prices_minor_check CHECK ((0 <= ALL (prices_minor))),
    CONSTRAINT shipping_rates_starts_check CHECK ((((cardinality(starts) >= 1) AND (cardinality(starts) <= 50)) AND (0 <= ALL (starts)))),
    CONSTRAINT shipping_rates_tiers_check CHECK ((cardinality(starts) = cardinality(prices_minor)))
);

CREATE TABLE public.shipping_zones (
    id uuid DEFAULT uuidv7() NOT NULL,
    name text NOT NULL,
    name_key bytea NOT NULL,
    name_key_rule smallint NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    is_live boolean GENERATED ALWAYS AS ((archived_at IS NULL)) STORED NOT NULL,
    CONSTRAINT shipping_zones_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100)))
);

CREATE TABLE public.shop (
    singleton boolean DEFAULT true NOT NULL,
    currency_code text NOT NULL,
    CONSTRAINT shop_currency_code_check CHECK ((currency_code ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT shop_singleton_check CHECK (singleton)
);

CREATE TABLE public.shop_settings (
    singleton boolean DEFAULT true NOT NULL,
    country_code text DEFAULT ''::text NOT NULL,
    prices_include_tax boolean DEFAULT true NOT NULL,
    tax_rounding text DEFAULT 'line'::text NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT shop_settings_country_code_check CHECK ((country_code ~ '^([A-Z]{2})?$'::text)),
    CONSTRAINT shop_settings_singleton_check CHECK (singleton),
    CONSTRAINT shop_settings_tax_rounding_check CHECK ((tax_rounding = ANY (ARRAY['line'::text, 'order'::text]))),
    CONSTRAINT shop_settings_time_zone_check CHECK (((length(time_zone) >= 1) AND (length(time_zone) <= 64)))
);

CREATE TABLE public.signing_keys (
    kid text NOT NULL,
    state text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT signing_keys_state_check CHECK ((state = ANY (ARRAY['next'::text, 'current'::text, 'retired'::text])))
);

CREATE TABLE public.slugs (
    kind text NOT NULL COLLATE pg_catalog."C",
    slug text NOT NULL COLLATE pg_catalog."C",
    subject_id uuid NOT NULL,
    is_live boolean DEFAULT true NOT NULL,
    given_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT slugs_slug_check CHECK (((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text) AND (length(slug) <= 80)))
);

CREATE TABLE public.stock_ledger (
    product_id uuid NOT NULL,
    id bigint NOT NULL,
    order_id uuid,
    kind text NOT NULL,
    delta integer NOT NULL,
    actor_kind text,
    actor_id uuid,
    reason text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    reference_id uuid,
    CONSTRAINT stock_ledger_actor_check CHECK ((actor_kind = ANY (ARRAY['buyer'::text, 'administrator'::text, 'system'::text, 'provider'::text]))),
    CONSTRAINT stock_ledger_check1 CHECK (((actor_kind IS NULL) = (kind = 'sale'::text))),
    CONSTRAINT stock_ledger_kinds_check CHECK ((kind = ANY (ARRAY['initial'::text, 'sale'::text, 'cancel'::text, 'adjust'::text, 'return'::text]))),
    CONSTRAINT stock_ledger_order_check CHECK (((order_id IS NOT NULL) = (kind = ANY (ARRAY['sale'::text, 'cancel'::text, 'return'::text]))))
);

ALTER TABLE public.stock_ledger ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.stock_ledger_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.stock_levels (
    product_id uuid NOT NULL,
    location_id smallint DEFAULT 1 NOT NULL,
    on_hand integer NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stock_levels_on_hand_check CHECK ((on_hand >= 0))
)
WITH (fillfactor='50');

CREATE TABLE public.tax_categories (
    id text NOT NULL COLLATE pg_catalog."C",
    display_name text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    is_live boolean GENERATED ALWAYS AS ((archived_at IS NULL)) STORED NOT NULL,
    CONSTRAINT tax_categories_display_name_check CHECK (((length(display_name) >= 1) AND (length(display_name) <= 100))),
    CONSTRAINT tax_categories_id_check CHECK (((id ~ '^[a-z][a-z0-9-]{0,31}$'::text) AND (id <> 'as-goods'::text)))
);

CREATE TABLE public.tax_rates (
    id uuid DEFAULT uuidv7() NOT NULL,
    country_code text NOT NULL COLLATE pg_catalog."C",
    region text NOT NULL COLLATE pg_catalog."C",
    tax_category text NOT NULL COLLATE pg_catalog."C",
    category_ref text GENERATED ALWAYS AS (NULLIF(tax_category, ''::text)) STORED COLLATE pg_catalog."C",
    name text NOT NULL,
    rate_ppm integer NOT NULL,
    part_names text[] NOT NULL,
    part_ppms integer[] NOT NULL,
    valid tstzrange NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT tax_rates_country_code_check CHECK ((country_code ~ '^[A-Z]{2}$'::text)),
    CONSTRAINT tax_rates_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT tax_rates_parts_check CHECK (((cardinality(part_names) = cardinality(part_ppms)) AND (cardinality(part_names) <= 10))),
    CONSTRAINT tax_rates_rate_ppm_check CHECK (((rate_ppm >= 0) AND (rate_ppm <= 1000000))),
    CONSTRAINT tax_rates_region_check CHECK ((length(region) <= 60)),
    CONSTRAINT tax_rates_valid_check CHECK (((NOT isempty(valid)) AND (lower_inf(valid) OR lower_inc(valid)) AND (NOT upper_inc(valid))))
);

ALTER TABLE ONLY public.accepted_differences
    ADD CONSTRAINT accepted_differences_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.account_taxes
    ADD CONSTRAINT account_taxes_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_email_key UNIQUE (email);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.addresses
    ADD CONSTRAINT addresses_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.cart_items
    ADD CONSTRAINT cart_items_pkey PRIMARY KEY (account_id, product_id);

ALTER TABLE ONLY public.carts
    ADD CONSTRAINT carts_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.categories
    ADD CONSTRAINT categories_name_key UNIQUE (name);

ALTER TABLE ONLY public.categories
    ADD CONSTRAINT categories_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.category_listings
    ADD CONSTRAINT category_listings_pkey PRIMARY KEY (category_id, id);

ALTER TABLE ONLY public.database_origin
    ADD CONSTRAINT database_origin_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_provider_ref_key UNIQUE (provider_ref);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (xid, id);

ALTER TABLE ONLY public.feed_cursors
    ADD CONSTRAINT feed_cursors_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.feed_quarantine
    ADD CONSTRAINT feed_quarantine_event_key UNIQUE (consumer, xid, event_id);

ALTER TABLE ONLY public.feed_quarantine
    ADD CONSTRAINT feed_quarantine_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (scope_id, key);

ALTER TABLE ONLY public.login_attempts
    ADD CONSTRAINT login_attempts_pkey PRIMARY KEY (address_digest);

ALTER TABLE ONLY public.mail_allowances
    ADD CONSTRAINT mail_allowances_pkey PRIMARY KEY (address, template);

ALTER TABLE ONLY public.mails
    ADD CONSTRAINT mails_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_mail_key UNIQUE (mail_id);

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY public.order_discounts
    ADD CONSTRAINT order_discounts_pkey PRIMARY KEY (order_id, "position");

ALTER TABLE ONLY public.order_history
    ADD CONSTRAINT order_history_pkey PRIMARY KEY (order_id, version);

ALTER TABLE ONLY public.order_items
    ADD CONSTRAINT order_items_pkey PRIMARY KEY (order_id, product_id);

ALTER TABLE ONLY public.order_notes
    ADD CONSTRAINT order_notes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.order_taxes
    ADD CONSTRAINT order_taxes_pkey PRIMARY KEY (order_id, "position");

ALTER TABLE public.orders
    ADD CONSTRAINT orders_erased_check CHECK (((erased_at IS NULL) OR (num_nonnulls(contact_email, note, idempotency_key) = 0))) NOT VALID;

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.payment_ledger
    ADD CONSTRAINT payment_ledger_pkey PRIMARY KEY (payment_id, id);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pgqueuer_log
    ADD CONSTRAINT pgqueuer_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pgqueuer
    ADD CONSTRAINT pgqueuer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pgqueuer_statistics
    ADD CONSTRAINT pgqueuer_statistics_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.picture_uploads
    ADD CONSTRAINT picture_uploads_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.pictures
    ADD CONSTRAINT pictures_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY public.price_rules
    ADD CONSTRAINT price_rules_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.product_groups
    ADD CONSTRAINT product_groups_code_key UNIQUE (code);

ALTER TABLE ONLY public.product_groups
    ADD CONSTRAINT product_groups_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.product_pictures
    ADD CONSTRAINT product_pictures_pkey PRIMARY KEY (product_id, digest);

ALTER TABLE ONLY public.product_pictures
    ADD CONSTRAINT product_pictures_position UNIQUE (product_id, "position");

ALTER TABLE ONLY public.product_search
    ADD CONSTRAINT product_search_pkey PRIMARY KEY (product_id, locale);

ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_currency_code_key UNIQUE (id, currency_code);

ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.promotion_buyers
    ADD CONSTRAINT promotion_buyers_pkey PRIMARY KEY (promotion_id, subject);

ALTER TABLE ONLY public.promotion_codes
    ADD CONSTRAINT promotion_codes_pkey PRIMARY KEY (code_folded);

ALTER TABLE ONLY public.promotion_guesses
    ADD CONSTRAINT promotion_guesses_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.promotion_redemptions
    ADD CONSTRAINT promotion_redemptions_pkey PRIMARY KEY (order_id, promotion_id);

ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT promotions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.provider_events
    ADD CONSTRAINT provider_events_id_key UNIQUE (id);

ALTER TABLE ONLY public.provider_events
    ADD CONSTRAINT provider_events_pkey PRIMARY KEY (provider, event_id);

ALTER TABLE ONLY public.provider_requests
    ADD CONSTRAINT provider_requests_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.quotes
    ADD CONSTRAINT quotes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY public.refund_lines
    ADD CONSTRAINT refund_lines_pkey PRIMARY KEY (refund_id, product_id);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.return_items
    ADD CONSTRAINT return_items_pkey PRIMARY KEY (return_id, product_id);

ALTER TABLE ONLY public.returns
    ADD CONSTRAINT returns_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.search_words
    ADD CONSTRAINT search_words_pkey PRIMARY KEY (word);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.shipment_items
    ADD CONSTRAINT shipment_items_pkey PRIMARY KEY (shipment_id, product_id);

ALTER TABLE ONLY public.shipments
    ADD CONSTRAINT shipments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.shipping_areas
    ADD CONSTRAINT shipping_areas_pkey PRIMARY KEY (zone_id, country_code, region, postal_prefix);

ALTER TABLE ONLY public.shipping_methods
    ADD CONSTRAINT shipping_methods_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.shipping_rates
    ADD CONSTRAINT shipping_rates_pkey PRIMARY KEY (method_id, zone_id);

ALTER TABLE ONLY public.shipping_zones
    ADD CONSTRAINT shipping_zones_is_live_key UNIQUE (id, is_live);

ALTER TABLE ONLY public.shipping_zones
    ADD CONSTRAINT shipping_zones_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.shop
    ADD CONSTRAINT shop_currency_code_key UNIQUE (currency_code);

ALTER TABLE ONLY public.shop
    ADD CONSTRAINT shop_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.shop_settings
    ADD CONSTRAINT shop_settings_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (kid);

ALTER TABLE ONLY public.slugs
    ADD CONSTRAINT slugs_pkey PRIMARY KEY (kind, slug);

ALTER TABLE ONLY public.stock_ledger
    ADD CONSTRAINT stock_ledger_pkey PRIMARY KEY (product_id, id);

ALTER TABLE ONLY public.stock_levels
    ADD CONSTRAINT stock_levels_pkey PRIMARY KEY (product_id, location_id);

ALTER TABLE ONLY public.tax_categories
    ADD CONSTRAINT tax_categories_is_live_key UNIQUE (id, is_live);

ALTER TABLE ONLY public.tax_categories
    ADD CONSTRAINT tax_categories_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.tax_rates
    ADD CONSTRAINT tax_rates_overlap_excl EXCLUDE USING gist (country_code WITH =, region WITH =, tax_category WITH =, valid WITH &&) WHERE ((archived_at IS NULL));

ALTER TABLE ONLY public.tax_rates
    ADD CONSTRAINT tax_rates_pkey PRIMARY KEY (id);

CREATE INDEX accounts_admins ON public.accounts USING btree (id) WHERE (role = 'admin'::text);

CREATE INDEX accounts_by_network ON public.accounts USING btree (network, created_at) WHERE (network IS NOT NULL);

CREATE INDEX accounts_by_text ON public.accounts USING gin (public.fold(((email || ' '::text) || full_name)) public.gin_trgm_ops);

CREATE INDEX accounts_disabled ON public.accounts USING btree (id) WHERE (disabled_at IS NOT NULL);

CREATE INDEX accounts_guest_checks ON public.accounts USING btree (guest_check_at) WHERE (guest_check_at IS NOT NULL);

CREATE INDEX accounts_not_guests ON public.accounts USING btree (id) WHERE (role <> 'guest'::text);

CREATE INDEX addresses_by_account ON public.addresses USING btree (account_id, id);

CREATE UNIQUE INDEX addresses_default_key ON public.addresses USING btree (account_id) WHERE is_default;

CREATE INDEX audit_log_by_action ON public.audit_log USING btree (action, id);

CREATE INDEX audit_log_by_actor ON public.audit_log USING btree (actor_id, id);

CREATE INDEX audit_log_by_subject ON public.audit_log USING btree (subject_id, id);

CREATE INDEX categories_by_ancestor ON public.categories USING gin (ancestors);

CREATE INDEX categories_by_name_key ON public.categories USING btree (name_key, id);

CREATE INDEX categories_by_parent ON public.categories USING btree (COALESCE(parent_id, '00000000-0000-0000-0000-000000000000'::uuid), "position", name_key, id);

CREATE INDEX categories_of_old_keys ON public.categories USING btree (id) WHERE ((name_key_rule < 2) OR (keyed_name <> name));

CREATE INDEX category_listings_by_name_key ON public.category_listings USING btree (category_id, name_key, id);

CREATE INDEX category_listings_by_price ON public.category_listings USING btree (category_id, price_minor, id);

CREATE INDEX disputes_by_order ON public.disputes USING btree (order_id);

CREATE INDEX disputes_by_state ON public.disputes USING btree (state, id);

CREATE INDEX events_by_age ON public.events USING btree (created_at);

CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (created_at);

CREATE INDEX login_attempts_by_age ON public.login_attempts USING btree (blocked_until);

CREATE INDEX mail_allowances_by_age ON public.mail_allowances USING btree (last_at);

CREATE INDEX mails_by_address ON public.mails USING btree (address);

CREATE INDEX mails_by_age ON public.mails USING btree (created_at);

CREATE INDEX mails_due ON public.mails USING btree (created_at) WHERE ((sent_at IS NULL) AND (failure IS NULL) AND (dropped_at IS NULL));

CREATE UNIQUE INDEX mails_once_per_order ON public.mails USING btree (order_id, template) WHERE (order_id IS NOT NULL);

CREATE INDEX mails_resets ON public.mails USING btree (address, id) WHERE (template = 'reset_password'::text);

CREATE INDEX one_time_tokens_by_account ON public.one_time_tokens USING btree (account_id);

CREATE INDEX order_notes_by_order ON public.order_notes USING btree (order_id, id);

CREATE INDEX orders_by_account ON public.orders USING btree (account_id, id);

CREATE INDEX orders_by_contact ON public.orders USING btree (contact_email, id);

CREATE INDEX orders_by_status ON public.orders USING btree (status, id);

CREATE INDEX orders_by_total ON public.orders USING btree (total_minor);

CREATE INDEX orders_due ON public.orders USING btree (payment_due_at) WHERE ((status = 'placed'::text) AND (payment_due_at IS NOT NULL));

CREATE UNIQUE INDEX orders_idempotency_key ON public.orders USING btree (account_id, idempotency_key) WHERE (idempotency_key IS NOT NULL);

CREATE INDEX orders_misdated ON public.orders USING btree (id) WHERE ((((created_at - uuid_extract_timestamp(id)) >= '-00:10:00'::interval) AND ((created_at - uuid_extract_timestamp(id)) <= '00:10:00'::interval)) IS NOT TRUE);

CREATE UNIQUE INDEX orders_number ON public.orders USING btree (number) WHERE (number IS NOT NULL);

CREATE INDEX orders_open ON public.orders USING btree (account_id) WHERE (status = 'placed'::text);

CREATE INDEX orders_refunded ON public.order_history USING btree (created_at, order_id) WHERE (status = 'refunded'::text);

CREATE INDEX orders_unbooked ON public.orders USING btree (id) WHERE (booked_version < version);

CREATE INDEX orders_without_number ON public.orders USING btree (id) WHERE (number IS NULL);

CREATE UNIQUE INDEX payment_ledger_once ON public.payment_ledger USING btree (provider_ref, kind);

CREATE INDEX payments_by_order ON public.payments USING btree (order_id, id);

CREATE INDEX payments_by_state ON public.payments USING btree (state, id);

CREATE INDEX payments_lapsing ON public.payments USING btree (capture_before) WHERE ((state = 'authorized'::text) AND (capture_before IS NOT NULL));

CREATE UNIQUE INDEX payments_live ON public.payments USING btree (order_id) WHERE (state <> ALL (ARRAY['cancelled'::text, 'expired'::text]));

CREATE UNIQUE INDEX payments_ref ON public.payments USING btree (provider, provider_ref) WHERE (provider_ref IS NOT NULL);

CREATE INDEX payments_to_read ON public.payments USING btree (next_read_at) WHERE (next_read_at IS NOT NULL);

CREATE INDEX pgqueuer_by_age ON public.pgqueuer USING btree (created);

CREATE INDEX pgqueuer_ep_ea_idx ON public.pgqueuer USING btree (entrypoint, execute_after) WHERE (status = 'queued'::public.pgqueuer_status);

CREATE INDEX pgqueuer_ep_prio_id_idx ON public.pgqueuer USING btree (entrypoint, priority DESC, id) WHERE (status = 'queued'::public.pgqueuer_status);

CREATE INDEX pgqueuer_failed ON public.pgqueuer USING btree (updated) WHERE (status = 'failed'::public.pgqueuer_status);

CREATE INDEX pgqueuer_log_created ON public.pgqueuer_log USING btree (created);

CREATE INDEX pgqueuer_log_job_id_status ON public.pgqueuer_log USING btree (job_id, created DESC);

CREATE INDEX pgqueuer_log_not_aggregated ON public.pgqueuer_log USING btree ((1)) WHERE (NOT aggregated);

CREATE INDEX pgqueuer_log_status ON public.pgqueuer_log USING btree (status);

CREATE INDEX pgqueuer_picked_heartbeat_idx ON public.pgqueuer USING btree (heartbeat) WHERE (status = 'picked'::public.pgqueuer_status);

CREATE UNIQUE INDEX pgqueuer_picked_slot_idx ON public.pgqueuer USING btree (entrypoint, slot) WHERE ((status = 'picked'::public.pgqueuer_status) AND (slot IS NOT NULL));

CREATE INDEX pgqueuer_priority_id_id1_idx ON public.pgqueuer USING btree (priority, id DESC) INCLUDE (id) WHERE (status = 'queued'::public.pgqueuer_status);

CREATE INDEX pgqueuer_queue_manager_id_idx ON public.pgqueuer USING btree (queue_manager_id) WHERE (queue_manager_id IS NOT NULL);

CREATE UNIQUE INDEX pgqueuer_statistics_unique_count ON public.pgqueuer_statistics USING btree (priority, date_trunc('sec'::text, timezone('UTC'::text, created)), status, entrypoint);

CREATE UNIQUE INDEX pgqueuer_unique_dedupe_key ON public.pgqueuer USING btree (dedupe_key) WHERE ((status = ANY (ARRAY['queued'::public.pgqueuer_status, 'picked'::public.pgqueuer_status])) AND (dedupe_key IS NOT NULL));

CREATE INDEX pgqueuer_updated_id_id1_idx ON public.pgqueuer USING btree (updated, id DESC) INCLUDE (id) WHERE (status = 'picked'::public.pgqueuer_status);

CREATE INDEX picture_uploads_old ON public.picture_uploads USING btree (created_at);

CREATE INDEX picture_uploads_open ON public.picture_uploads USING btree (state, created_at) WHERE (state = ANY (ARRAY['waiting'::text, 'pending'::text]));

CREATE INDEX pictures_unused ON public.pictures USING btree (unused_at) WHERE (unused_at IS NOT NULL);

CREATE INDEX product_groups_on_sale ON public.product_groups USING btree (id) WHERE (variants > 0);

CREATE INDEX product_pictures_by_picture ON public.product_pictures USING btree (digest);

CREATE INDEX product_search_by_name_key ON public.product_search USING btree (locale, name_key, product_id);

CREATE UNIQUE INDEX product_search_by_number ON public.product_search USING btree (locale, number);

CREATE INDEX product_search_by_price ON public.product_search USING btree (locale, price_minor, product_id);

CREATE INDEX product_search_by_shelf ON public.product_search USING gin ((ARRAY[(number >> 13)]), words, category_ids, (ARRAY[(trunc((price_minor)::numeric, (2 - length((price_minor)::text))))::bigint]), (ARRAY[substr(name_key, 1, 6)]));

CREATE INDEX product_search_of_old_rules ON public.product_search USING btree (product_id) WHERE (rule_version < 2);

CREATE INDEX products_by_category ON public.products USING btree (category_id, id);

CREATE INDEX products_by_category_name_key ON public.products USING btree (category_id, name_key, id) WHERE (deleted_at IS NULL);

CREATE INDEX products_by_category_price ON public.products USING btree (category_id, price_minor, id) WHERE (deleted_at IS NULL);

CREATE INDEX products_by_group ON public.products USING btree (group_id, "position", id) WHERE (group_id IS NOT NULL);

CREATE INDEX products_by_name_key ON public.products USING btree (name_key, id) WHERE (deleted_at IS NULL);

CREATE INDEX products_by_options ON public.products USING gin (folded_options jsonb_path_ops) WHERE ((deleted_at IS NULL) AND (folded_options IS NOT NULL));

CREATE INDEX products_by_price ON public.products USING btree (price_minor, id) WHERE (deleted_at IS NULL);

CREATE INDEX products_by_tax_category ON public.products USING btree (tax_category, tax_category_live) WHERE (tax_category IS NOT NULL);

CREATE INDEX products_deleted ON public.products USING btree (id) WHERE (deleted_at IS NOT NULL);

CREATE INDEX products_listed_by_name_key ON public.products USING btree (name_key, id) WHERE ((deleted_at IS NULL) AND is_listed);

CREATE INDEX products_listed_by_price ON public.products USING btree (price_minor, id) WHERE ((deleted_at IS NULL) AND is_listed);

CREATE UNIQUE INDEX products_listed_key ON public.products USING btree (group_id) WHERE ((deleted_at IS NULL) AND (group_id IS NOT NULL) AND is_listed);

CREATE UNIQUE INDEX products_options_key ON public.products USING btree (group_id, sha256(jsonb_send(folded_options))) WHERE ((deleted_at IS NULL) AND (folded_options IS NOT NULL));

CREATE UNIQUE INDEX products_sku_key ON public.products USING btree (sku) WHERE (deleted_at IS NULL);

CREATE INDEX products_without_slug ON public.products USING btree (id) WHERE ((slug IS NULL) AND (deleted_at IS NULL));

CREATE INDEX promotion_codes_by_batch ON public.promotion_codes USING btree (batch_id, code_folded) WHERE (batch_id IS NOT NULL);

CREATE INDEX promotion_codes_by_promotion ON public.promotion_codes USING btree (promotion_id, code_folded);

CREATE INDEX promotion_guesses_by_age ON public.promotion_guesses USING btree (since);

CREATE INDEX promotion_redemptions_unreleased ON public.promotion_redemptions USING btree (promotion_id) WHERE (released_at IS NULL);

CREATE INDEX promotions_live ON public.promotions USING btree (id) WHERE (archived_at IS NULL);

CREATE INDEX provider_events_by_age ON public.provider_events USING btree (received_at);

CREATE INDEX provider_events_due ON public.provider_events USING btree (next_at) WHERE ((applied_at IS NULL) AND (quarantined_at IS NULL));

CREATE INDEX provider_events_quarantined ON public.provider_events USING btree (id) WHERE (quarantined_at IS NOT NULL);

CREATE INDEX provider_requests_by_payment ON public.provider_requests USING btree (payment_id);

CREATE INDEX provider_requests_due ON public.provider_requests USING btree (next_at) WHERE (outcome IS NULL);

CREATE UNIQUE INDEX provider_requests_open ON public.provider_requests USING btree (payment_id, kind, COALESCE(refund_id, payment_id)) WHERE (outcome IS NULL);

CREATE INDEX provider_requests_unsettled ON public.provider_requests USING btree (id) WHERE (outcome IS NULL);

CREATE INDEX quotes_by_account ON public.quotes USING btree (account_id, id);

CREATE INDEX quotes_by_expiry ON public.quotes USING btree (expires_at);

CREATE INDEX refresh_tokens_by_session ON public.refresh_tokens USING btree (session_id);

CREATE UNIQUE INDEX refresh_tokens_live ON public.refresh_tokens USING btree (session_id) WHERE (used_at IS NULL);

CREATE INDEX refunds_by_order ON public.refunds USING btree (order_id, id);

CREATE INDEX refunds_by_payment ON public.refunds USING btree (payment_id);

CREATE INDEX refunds_by_state ON public.refunds USING btree (state, id);

CREATE INDEX returns_by_order ON public.returns USING btree (order_id, id);

CREATE INDEX search_words_by_key ON public.search_words USING gin (keys);

CREATE INDEX sessions_by_account ON public.sessions USING btree (account_id, refreshed_at) WHERE (ended_at IS NULL);

CREATE INDEX sessions_by_expiry ON public.sessions USING btree (expires_at);

CREATE INDEX sessions_of_account ON public.sessions USING btree (account_id);

CREATE INDEX shipments_by_order ON public.shipments USING btree (order_id, id);

CREATE UNIQUE INDEX shipping_areas_place_key ON public.shipping_areas USING btree (country_code, region, postal_prefix) WHERE is_live;

CREATE INDEX shipping_methods_by_position ON public.shipping_methods USING btree ("position", id);

CREATE INDEX shipping_methods_live_by_position ON public.shipping_methods USING btree ("position", id) WHERE (archived_at IS NULL);

CREATE INDEX shipping_rates_by_zone ON public.shipping_rates USING btree (zone_id);

CREATE INDEX shipping_zones_by_name_key ON public.shipping_zones USING btree (name_key, id);

CREATE INDEX shipping_zones_live_by_name_key ON public.shipping_zones USING btree (name_key, id) WHERE (archived_at IS NULL);

CREATE UNIQUE INDEX signing_keys_state ON public.signing_keys USING btree (state) WHERE (state <> 'retired'::text);

CREATE INDEX slugs_by_subject ON public.slugs USING btree (kind, subject_id, given_at);

CREATE UNIQUE INDEX slugs_live_key ON public.slugs USING btree (kind, subject_id) WHERE is_live;

CREATE UNIQUE INDEX stock_ledger_steps ON public.stock_ledger USING btree (order_id, product_id, kind, reference_id) NULLS NOT DISTINCT WHERE (order_id IS NOT NULL);

CREATE INDEX tax_rates_by_category ON public.tax_rates USING btree (category_ref) WHERE (archived_at IS NULL);

CREATE INDEX tax_rates_by_place ON public.tax_rates USING btree (country_code, region, tax_category, id);

CREATE TRIGGER categories_deleted AFTER DELETE ON public.categories FOR EACH ROW EXECUTE FUNCTION public.drop_category_slugs();

CREATE TRIGGER orders_are_kept BEFORE DELETE OR UPDATE OF id OR TRUNCATE ON public.orders FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_removal();

CREATE TRIGGER product_groups_deleted AFTER DELETE ON public.product_groups FOR EACH ROW EXECUTE FUNCTION public.drop_group_slugs();

CREATE TRIGGER product_search_categories BEFORE INSERT OR UPDATE OF category_ids ON public.product_search FOR EACH ROW WHEN ((cardinality(new.category_ids) > 0)) EXECUTE FUNCTION public.complete_category_ids();

CREATE TRIGGER product_search_deleted AFTER DELETE ON public.product_search FOR EACH ROW WHEN (((old.locale = ''::text) AND (cardinality(old.category_ids) > 1))) EXECUTE FUNCTION public.list_document();

CREATE TRIGGER product_search_inserted AFTER INSERT ON public.product_search FOR EACH ROW WHEN (((new.locale = ''::text) AND (cardinality(new.category_ids) > 1))) EXECUTE FUNCTION public.list_document();

CREATE TRIGGER product_search_updated AFTER UPDATE ON public.product_search FOR EACH ROW WHEN (((new.locale = ''::text) AND ((cardinality(old.category_ids) > 1) OR (cardinality(new.category_ids) > 1)) AND (((old.category_ids IS DISTINCT FROM new.category_ids) OR (old.price_minor IS DISTINCT FROM new.price_minor)) OR (old.name_key IS DISTINCT FROM new.name_key)))) EXECUTE FUNCTION public.list_document();

CREATE TRIGGER products_are_kept BEFORE DELETE OR UPDATE OF id, currency_code OR TRUNCATE ON public.products FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_removal();

CREATE TRIGGER promotion_codes_are_kept BEFORE DELETE OR UPDATE OF code_folded, promotion_id OR TRUNCATE ON public.promotion_codes FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_removal();

CREATE TRIGGER promotions_are_kept BEFORE DELETE OR UPDATE OF id OR TRUNCATE ON public.promotions FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_removal();

ALTER TABLE ONLY public.account_taxes
    ADD CONSTRAINT account_taxes_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.addresses
    ADD CONSTRAINT addresses_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.cart_items
    ADD CONSTRAINT cart_items_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.cart_items
    ADD CONSTRAINT cart_items_product_fkey FOREIGN KEY (product_id, currency_code) REFERENCES public.products(id, currency_code);

ALTER TABLE ONLY public.carts
    ADD CONSTRAINT carts_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.carts
    ADD CONSTRAINT carts_shipping_method_id_fkey FOREIGN KEY (shipping_method_id) REFERENCES public.shipping_methods(id);

ALTER TABLE ONLY public.categories
    ADD CONSTRAINT categories_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES public.categories(id);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id);

ALTER TABLE ONLY public.mails
    ADD CONSTRAINT mails_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.one_time_tokens
    ADD CONSTRAINT one_time_tokens_mail_id_fkey FOREIGN KEY (mail_id) REFERENCES public.mails(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.order_notes
    ADD CONSTRAINT order_notes_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id);

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.payment_ledger
    ADD CONSTRAINT payment_ledger_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.payment_ledger
    ADD CONSTRAINT payment_ledger_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

ALTER TABLE ONLY public.product_groups
    ADD CONSTRAINT product_groups_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.product_pictures
    ADD CONSTRAINT product_pictures_digest_fkey FOREIGN KEY (digest) REFERENCES public.pictures(digest);

ALTER TABLE ONLY public.product_pictures
    ADD CONSTRAINT product_pictures_product_id_fkey FOREIGN KEY (product_id) REFERENCES public.products(id);

ALTER TABLE ONLY public.product_search
    ADD CONSTRAINT product_search_product_id_fkey FOREIGN KEY (product_id) REFERENCES public.products(id);

ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_category_id_fkey FOREIGN KEY (category_id) REFERENCES public.categories(id);

ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_group_id_fkey FOREIGN KEY (group_id) REFERENCES public.product_groups(id);

ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_tax_category_fkey FOREIGN KEY (tax_category, tax_category_live) REFERENCES public.tax_categories(id, is_live);

ALTER TABLE ONLY public.promotion_codes
    ADD CONSTRAINT promotion_codes_promotion_id_fkey FOREIGN KEY (promotion_id) REFERENCES public.promotions(id);

ALTER TABLE ONLY public.promotion_guesses
    ADD CONSTRAINT promotion_guesses_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.promotion_redemptions
    ADD CONSTRAINT promotion_redemptions_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT promotions_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.provider_requests
    ADD CONSTRAINT provider_requests_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id);

ALTER TABLE ONLY public.provider_requests
    ADD CONSTRAINT provider_requests_refund_id_fkey FOREIGN KEY (refund_id) REFERENCES public.refunds(id);

ALTER TABLE ONLY public.quotes
    ADD CONSTRAINT quotes_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.quotes
    ADD CONSTRAINT quotes_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.refund_lines
    ADD CONSTRAINT refund_lines_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.refund_lines
    ADD CONSTRAINT refund_lines_refund_id_fkey FOREIGN KEY (refund_id) REFERENCES public.refunds(id);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id);

ALTER TABLE ONLY public.return_items
    ADD CONSTRAINT return_items_return_id_fkey FOREIGN KEY (return_id) REFERENCES public.returns(id);

ALTER TABLE ONLY public.returns
    ADD CONSTRAINT returns_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.shipment_items
    ADD CONSTRAINT shipment_items_shipment_id_fkey FOREIGN KEY (shipment_id) REFERENCES public.shipments(id);

ALTER TABLE ONLY public.shipments
    ADD CONSTRAINT shipments_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

ALTER TABLE ONLY public.shipping_areas
    ADD CONSTRAINT shipping_areas_zone_fkey FOREIGN KEY (zone_id, is_live) REFERENCES public.shipping_zones(id, is_live) ON UPDATE CASCADE;

ALTER TABLE ONLY public.shipping_methods
    ADD CONSTRAINT shipping_methods_category_ref_fkey FOREIGN KEY (category_ref) REFERENCES public.tax_categories(id);

ALTER TABLE ONLY public.shipping_rates
    ADD CONSTRAINT shipping_rates_currency_code_fkey FOREIGN KEY (currency_code) REFERENCES public.shop(currency_code);

ALTER TABLE ONLY public.shipping_rates
    ADD CONSTRAINT shipping_rates_method_id_fkey FOREIGN KEY (method_id) REFERENCES public.shipping_methods(id);

ALTER TABLE ONLY public.shipping_rates
    ADD CONSTRAINT shipping_rates_zone_id_fkey FOREIGN KEY (zone_id) REFERENCES public.shipping_zones(id);

ALTER TABLE ONLY public.stock_levels
    ADD CONSTRAINT stock_levels_product_id_fkey FOREIGN KEY (product_id) REFERENCES public.products(id);

ALTER TABLE ONLY public.tax_rates
    ADD CONSTRAINT tax_rates_category_ref_fkey FOREIGN KEY (category_ref) REFERENCES public.tax_categories(id);
