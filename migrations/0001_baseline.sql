-- phase: expand
-- The baseline: the schema of the first release. Later migrations follow docs/migrations.md.
-- Amounts are bigint minor units of the shop's one currency; ids are UUIDv7, so they sort by creation.

CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- unaccent() itself is only STABLE, because its dictionary could be altered; ours is fixed, and an index needs IMMUTABLE.
CREATE FUNCTION fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, value));

-- One row. Changing the currency of a shop would reprice all products, so a server with another currency refuses to start. Products and
-- orders refer to this row. Lines of carts and orders refer to the currency of their product, which adds no check to a line, and no lock
-- on this row. docs/stock.md lists the cost of each constraint.
CREATE TABLE shop (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    currency_code text NOT NULL CONSTRAINT shop_currency_code_key UNIQUE CHECK (currency_code ~ '^[A-Z]{3}$')
);

CREATE TABLE accounts (
    id                uuid PRIMARY KEY DEFAULT uuidv7(),
    email             text NOT NULL CONSTRAINT accounts_email_key UNIQUE CHECK (email = lower(email)),
    full_name         text NOT NULL,
    role              text NOT NULL CHECK (role IN ('user', 'admin')),
    password_hash     text NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    disabled_at       timestamptz,
    email_verified_at timestamptz
);

CREATE INDEX accounts_admins ON accounts (id) WHERE role = 'admin';
CREATE INDEX accounts_disabled ON accounts (id) WHERE disabled_at IS NOT NULL;
CREATE INDEX accounts_by_text ON accounts USING gin (fold(email || ' ' || full_name) gin_trgm_ops);

CREATE TABLE categories (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    name       text NOT NULL CONSTRAINT categories_name_key UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE products (
    id          uuid PRIMARY KEY DEFAULT uuidv7(),
    number      bigint NOT NULL GENERATED ALWAYS AS IDENTITY,  -- in the order of creation, for the search
    name        text NOT NULL,
    description text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency_code text NOT NULL REFERENCES shop (currency_code),
    category_id uuid REFERENCES categories (id),
    sku         text,
    image_urls  text[] NOT NULL,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    CONSTRAINT products_currency_code_key UNIQUE (id, currency_code)  -- the lines of carts and orders refer to it
);

CREATE UNIQUE INDEX products_sku_key ON products (sku) WHERE deleted_at IS NULL;
CREATE INDEX products_by_price ON products (price_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_name ON products (name COLLATE "C", id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_category ON products (category_id, id);
CREATE INDEX products_by_category_price ON products (category_id, price_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_category_name ON products (category_id, name COLLATE "C", id) WHERE deleted_at IS NULL;

-- The columns by which a search finds, filters, sorts and ranks products on sale, except their stock. The server writes a row in the
-- transaction that writes the product; see docs/search.md.
CREATE TABLE product_search (
    product_id   uuid NOT NULL REFERENCES products (id),
    locale       text NOT NULL,      -- '' until there are translations
    number       bigint NOT NULL,    -- products.number
    rule_version integer NOT NULL,   -- version of the rule that made the words
    price_minor  bigint NOT NULL,
    name         text NOT NULL,
    words        tsvector NOT NULL,  -- of name (A), SKU (B) and description (C)
    category_ids uuid[] NOT NULL,    -- the product's category; later its ancestors too
    group_id     uuid,               -- NULL until products have variants
    PRIMARY KEY (product_id, locale)
);

CREATE UNIQUE INDEX product_search_by_number ON product_search (locale, number);
CREATE INDEX product_search_by_price ON product_search (locale, price_minor, product_id);
CREATE INDEX product_search_by_name ON product_search (locale, name COLLATE "C", product_id);
-- The first column groups the documents by 8,192 consecutive products.
CREATE INDEX product_search_by_words ON product_search USING gin ((ARRAY[number >> 13]), words, category_ids);

-- The stock of a product, apart from its wide row, so that a sale copies 64 bytes. Each product has its level from the start. A transaction
-- that changes a product's name, price or deletion locks its level too, so a checkout locks only levels. 1 is the only location for now.
-- Half of each page is room for new row versions: no index holds a column that a sale changes.
CREATE TABLE stock_levels (
    product_id  uuid NOT NULL REFERENCES products (id),
    location_id smallint NOT NULL DEFAULT 1,
    on_hand     integer NOT NULL CONSTRAINT stock_levels_on_hand_check CHECK (on_hand >= 0),
    version     bigint NOT NULL DEFAULT 0,  -- number of changes; part of the product's etag
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, location_id)
) WITH (fillfactor = 50);

-- Every word that a product's name has had. None is deleted: a typo that is corrected to an old word finds no products, as before.
CREATE TABLE words (
    word text PRIMARY KEY
);

CREATE INDEX words_by_similarity ON words USING gin (word gin_trgm_ops);

CREATE TABLE cart_items (
    account_id       uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    product_id       uuid NOT NULL,
    quantity         integer NOT NULL CONSTRAINT cart_items_quantity_check CHECK (quantity BETWEEN 1 AND 1000),
    unit_price_minor bigint NOT NULL,  -- the price when the line was added, to warn the buyer of a change
    currency_code    text NOT NULL,
    added_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, product_id),
    CONSTRAINT cart_items_product_fkey FOREIGN KEY (product_id, currency_code) REFERENCES products (id, currency_code)
);

CREATE INDEX cart_items_by_product ON cart_items (product_id);

CREATE TABLE orders (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    account_id      uuid NOT NULL REFERENCES accounts (id),
    status          text NOT NULL CHECK (status IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded')),
    currency_code   text NOT NULL REFERENCES shop (currency_code),
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
    product_id       uuid NOT NULL,
    product_name     text NOT NULL,
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    currency_code    text NOT NULL,
    quantity         integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id),
    CONSTRAINT order_items_product_fkey FOREIGN KEY (product_id, currency_code) REFERENCES products (id, currency_code)
);

CREATE INDEX order_items_by_product ON order_items (product_id);

-- Every status of an order: who set it, when and why. The actor has no foreign key, because an actor may be no account.
CREATE TABLE order_history (
    order_id   uuid NOT NULL REFERENCES orders (id),
    version    integer NOT NULL,
    status     text NOT NULL,
    actor_kind text NOT NULL CHECK (actor_kind IN ('buyer', 'administrator', 'system')),
    actor_id   uuid,  -- NULL for the system
    reason     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, version)
);

-- Append-only; a product's stock is the sum of its deltas. Only store/inventory.py writes it.
CREATE TABLE stock_ledger (
    product_id uuid NOT NULL REFERENCES products (id),
    id         bigint GENERATED ALWAYS AS IDENTITY,
    order_id   uuid REFERENCES orders (id),
    kind       text NOT NULL CHECK (kind IN ('initial', 'sale', 'cancel', 'adjust')),
    delta      integer NOT NULL,
    actor_kind text CHECK (actor_kind IN ('buyer', 'administrator', 'system')),  -- NULL for a sale: the order names its buyer
    actor_id   uuid,
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, id),
    CHECK ((order_id IS NOT NULL) = (kind IN ('sale', 'cancel'))),
    CHECK ((actor_kind IS NULL) = (kind = 'sale'))
);

-- An order takes a product once and gives it back at most once.
CREATE UNIQUE INDEX stock_ledger_once ON stock_ledger (order_id, product_id, kind) WHERE order_id IS NOT NULL;

-- The stored answers of calls with an idempotency key, each written in the transaction that has the call's effect.
CREATE TABLE idempotency_keys (
    scope_id    uuid NOT NULL,  -- an account, or the nil UUID for anonymous calls (signup)
    key         text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    method      text NOT NULL,
    fingerprint bytea NOT NULL,  -- a keyed digest of method and request
    response    bytea,           -- NULL only inside the transaction that writes it
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope_id, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- The change feed. Readers read by (xid, id) and stop before the oldest running transaction, so they never skip a late commit.
CREATE TABLE events (
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id         bigint GENERATED ALWAYS AS IDENTITY,
    kind       text NOT NULL,
    version    smallint NOT NULL DEFAULT 1,  -- of the payload's schema
    subject_id uuid NOT NULL,
    payload    jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (xid, id)
);

CREATE INDEX events_by_age ON events (created_at);

-- Sessions with rotated refresh tokens, the keys that sign access tokens, and the failed logins.

-- A login on one device. It lasts while its refresh tokens are exchanged, and 30 days at most.
CREATE TABLE sessions (
    id           uuid PRIMARY KEY DEFAULT uuidv7(),
    account_id   uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_agent   text NOT NULL,
    ip_address   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    end_reason   text CHECK (end_reason IN ('logout', 'revoked', 'password', 'reuse', 'disabled')),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);

CREATE INDEX sessions_by_account ON sessions (account_id, refreshed_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Only digests: a copy of the database opens no session. Used tokens are kept, to detect that two clients hold the same token.
CREATE TABLE refresh_tokens (
    digest     bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE UNIQUE INDEX refresh_tokens_live ON refresh_tokens (session_id) WHERE used_at IS NULL;

-- The private keys are encrypted with SECRET_KEY. `next` is published ahead; `retired` verifies its tokens until they have expired.
CREATE TABLE signing_keys (
    kid         text PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('next', 'current', 'retired')),
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX signing_keys_state ON signing_keys (state) WHERE state <> 'retired';

-- Failed logins by a keyed digest of the e-mail address, with or without an account.
CREATE TABLE login_attempts (
    address_digest bytea PRIMARY KEY,
    failures       integer NOT NULL CHECK (failures > 0),
    blocked_until  timestamptz NOT NULL
);

CREATE INDEX login_attempts_by_age ON login_attempts (blocked_until);

-- Outgoing mail, the jobs that send it, one-time tokens, and the position in the feed up to which orders have their mail.

-- The tables of pgqueuer 1.6 under its own names, without its trigger: NOTIFY takes a global lock at commit. Schedules are left out too.
CREATE TYPE pgqueuer_status AS ENUM ('queued', 'picked', 'successful', 'exception', 'canceled', 'deleted', 'failed');

CREATE TABLE pgqueuer (
    id               bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    priority         integer NOT NULL,
    queue_manager_id uuid,
    created          timestamptz NOT NULL DEFAULT now(),
    updated          timestamptz NOT NULL DEFAULT now(),
    heartbeat        timestamptz NOT NULL DEFAULT now(),
    execute_after    timestamptz NOT NULL DEFAULT now(),
    status           pgqueuer_status NOT NULL,
    entrypoint       text NOT NULL,
    dedupe_key       text,
    payload          bytea,
    headers          jsonb,
    attempts         integer NOT NULL DEFAULT 0,
    slot             bigint
);

CREATE INDEX pgqueuer_ep_ea_idx ON pgqueuer (entrypoint, execute_after) WHERE status = 'queued';
CREATE INDEX pgqueuer_ep_prio_id_idx ON pgqueuer (entrypoint, priority DESC, id) WHERE status = 'queued';
CREATE INDEX pgqueuer_picked_heartbeat_idx ON pgqueuer (heartbeat) WHERE status = 'picked';
CREATE UNIQUE INDEX pgqueuer_picked_slot_idx ON pgqueuer (entrypoint, slot) WHERE status = 'picked' AND slot IS NOT NULL;
CREATE INDEX pgqueuer_priority_id_id1_idx ON pgqueuer (priority, id DESC) INCLUDE (id) WHERE status = 'queued';
CREATE INDEX pgqueuer_queue_manager_id_idx ON pgqueuer (queue_manager_id) WHERE queue_manager_id IS NOT NULL;
CREATE UNIQUE INDEX pgqueuer_unique_dedupe_key ON pgqueuer (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL;
CREATE INDEX pgqueuer_updated_id_id1_idx ON pgqueuer (updated, id DESC) INCLUDE (id) WHERE status = 'picked';
-- Our indexes, for held jobs that have failed and for jobs that are too old.
CREATE INDEX pgqueuer_failed ON pgqueuer (updated) WHERE status = 'failed';
CREATE INDEX pgqueuer_by_age ON pgqueuer (created);

CREATE TABLE pgqueuer_log (
    id         bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    created    timestamptz NOT NULL DEFAULT now(),
    job_id     bigint NOT NULL,
    status     pgqueuer_status NOT NULL,
    priority   integer NOT NULL,
    entrypoint text NOT NULL,
    traceback  jsonb,
    aggregated boolean DEFAULT false
);

CREATE INDEX pgqueuer_log_created ON pgqueuer_log (created);
CREATE INDEX pgqueuer_log_job_id_status ON pgqueuer_log (job_id, created DESC);
CREATE INDEX pgqueuer_log_not_aggregated ON pgqueuer_log ((1)) WHERE NOT aggregated;
CREATE INDEX pgqueuer_log_status ON pgqueuer_log (status);

CREATE TABLE pgqueuer_statistics (
    id         bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    created    timestamptz NOT NULL DEFAULT date_trunc('sec', now()),
    count      bigint NOT NULL,
    priority   integer NOT NULL,
    status     pgqueuer_status NOT NULL,
    entrypoint text NOT NULL
);

CREATE UNIQUE INDEX pgqueuer_statistics_unique_count
    ON pgqueuer_statistics (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint);

-- A mail to send. Its job holds only its id; the worker reads the content when it sends the mail.
CREATE TABLE mails (
    id           uuid PRIMARY KEY DEFAULT uuidv7(),
    template     text NOT NULL CHECK (template IN ('verify_email', 'reset_password', 'order_placed', 'order_cancelled')),
    address      text NOT NULL,  -- as requested; the worker looks its account up when it sends the mail
    order_id     uuid REFERENCES orders (id),
    created_at   timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,    -- the end of one worker's lease
    sent_at      timestamptz,
    failure      text,           -- why it cannot be sent; its job is held
    dropped_at   timestamptz,    -- when the worker found it needless
    CHECK ((order_id IS NOT NULL) = (template IN ('order_placed', 'order_cancelled')))
);

CREATE UNIQUE INDEX mails_once_per_order ON mails (order_id, template) WHERE order_id IS NOT NULL;
CREATE INDEX mails_resets ON mails (address, id) WHERE template = 'reset_password';
CREATE INDEX mails_by_age ON mails (created_at);
CREATE INDEX mails_due ON mails (created_at) WHERE sent_at IS NULL AND failure IS NULL AND dropped_at IS NULL;

-- Times of the last requests for mail to an address, which limit the mail to it.
CREATE TABLE mail_allowances (
    address  text NOT NULL,
    template text NOT NULL,
    times    timestamptz[] NOT NULL,
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (address, template)
);

CREATE INDEX mail_allowances_by_age ON mail_allowances (last_at);

-- Only digests: a copy of the database resets no password.
CREATE TABLE one_time_tokens (
    digest     bytea PRIMARY KEY,
    mail_id    uuid NOT NULL CONSTRAINT one_time_tokens_mail_key UNIQUE REFERENCES mails (id) ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    purpose    text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    email      text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

CREATE INDEX one_time_tokens_by_account ON one_time_tokens (account_id);

-- Tokens that can be used. A request for a newer reset mail revokes the older ones, before the mail is sent.
CREATE VIEW live_one_time_tokens AS
SELECT token.digest, token.purpose, token.account_id, token.email
  FROM one_time_tokens AS token
  JOIN accounts AS account ON account.id = token.account_id AND account.email = token.email AND account.disabled_at IS NULL
 WHERE token.used_at IS NULL AND token.expires_at > now()
   AND NOT (token.purpose = 'reset_password'
            AND EXISTS (SELECT
                          FROM mails AS newer
                         WHERE newer.template = 'reset_password' AND newer.address = token.email AND newer.id > token.mail_id));

-- Positions of consumers that must miss no event of the change feed; each moves in the transaction that handles the events.
CREATE TABLE feed_cursors (
    name     text PRIMARY KEY,
    xid      xid8 NOT NULL,
    id       bigint NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now(),
    failures integer NOT NULL DEFAULT 0,  -- consecutive failures of the next event
    lost_at  timestamptz                  -- from then on the sweep of events ignores it
);

-- Events that a consumer could not handle and has skipped. The event is copied here, because the sweep may delete it from the feed.
CREATE TABLE feed_quarantine (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer       text NOT NULL,
    xid            xid8 NOT NULL,
    event_id       bigint NOT NULL,
    kind           text NOT NULL,
    subject_id     uuid NOT NULL,
    payload        jsonb NOT NULL,
    created_at     timestamptz NOT NULL,
    tries          integer NOT NULL,
    failure        text NOT NULL,  -- the class of the last error, never its text
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    retry_at       timestamptz,    -- when an administrator requested another try
    CONSTRAINT feed_quarantine_event_key UNIQUE (consumer, xid, event_id)
);

-- Append-only: no statement of the server changes or deletes a row.
CREATE TABLE audit_log (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    actor_kind text NOT NULL CHECK (actor_kind IN ('buyer', 'administrator', 'system')),
    actor_id   uuid,                           -- NULL for the system: the command line
    action     text NOT NULL,
    subject_id uuid,                           -- NULL for a subject without a UUID, such as a signing key
    before     jsonb NOT NULL,                 -- only the fields that changed
    after      jsonb NOT NULL,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX audit_log_by_actor ON audit_log (actor_id, id);
CREATE INDEX audit_log_by_subject ON audit_log (subject_id, id);
CREATE INDEX audit_log_by_action ON audit_log (action, id);
