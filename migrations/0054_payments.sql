-- phase: expand
-- A payment of an order, at a provider. Its amounts are the sums of its ledger. Only a transaction that has locked the order writes its
-- payments, refunds, requests and shipments.
CREATE TABLE payments (
    id               uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id         uuid NOT NULL REFERENCES orders (id),
    provider         text NOT NULL,
    method           text NOT NULL,
    provider_ref     text,  -- the provider's id; NULL until it has answered
    state            text NOT NULL CHECK (state IN ('pending', 'processing', 'authorized', 'captured', 'cancelled', 'expired')),
    capture_later    boolean NOT NULL,  -- the money is held first, and captured with the first parcel
    currency_code    text NOT NULL REFERENCES shop (currency_code),
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    authorized_minor bigint NOT NULL DEFAULT 0 CHECK (authorized_minor >= 0),  -- held, and neither captured nor released
    captured_minor   bigint NOT NULL DEFAULT 0,
    refunding_minor  bigint NOT NULL DEFAULT 0 CHECK (refunding_minor >= 0),  -- reserved by refunds of the shop that are under way
    refunded_minor   bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    disputed_minor   bigint NOT NULL DEFAULT 0 CHECK (disputed_minor >= 0),  -- taken by disputes that are open
    lost_minor       bigint NOT NULL DEFAULT 0 CHECK (lost_minor >= 0),  -- taken by disputes that were lost
    capture_before   timestamptz,  -- when the authorisation lapses, as the provider says
    failure          text NOT NULL DEFAULT '',  -- the provider's word for why the last try to pay failed
    next_read_at     timestamptz,  -- when a worker reads it at the provider again; NULL: nothing is expected there
    reads            integer NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_captured_check CHECK (captured_minor BETWEEN 0 AND amount_minor)
);

CREATE UNIQUE INDEX payments_ref ON payments (provider, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE UNIQUE INDEX payments_live ON payments (order_id) WHERE state NOT IN ('cancelled', 'expired');  -- an order is not paid twice
CREATE INDEX payments_by_order ON payments (order_id, id);
CREATE INDEX payments_by_state ON payments (state, id);
CREATE INDEX payments_to_read ON payments (next_read_at) WHERE next_read_at IS NOT NULL;
CREATE INDEX payments_lapsing ON payments (capture_before) WHERE state = 'authorized' AND capture_before IS NOT NULL;

-- Each movement of money, once. Rows are never changed and never deleted.
CREATE TABLE payment_ledger (
    payment_id   uuid NOT NULL REFERENCES payments (id),
    id           bigint GENERATED ALWAYS AS IDENTITY,
    kind         text NOT NULL CHECK (kind IN ('authorized', 'voided', 'captured', 'refunded', 'refund_failed', 'disputed', 'dispute_won',
                                               'dispute_lost', 'dispute_appealed')),
    provider_ref text NOT NULL,  -- the provider's id of the charge, refund or dispute
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency_code text NOT NULL REFERENCES shop (currency_code),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment_id, id)
);

CREATE UNIQUE INDEX payment_ledger_once ON payment_ledger (provider_ref, kind);

CREATE TABLE refunds (
    id            uuid PRIMARY KEY DEFAULT uuidv7(),
    payment_id    uuid NOT NULL REFERENCES payments (id),
    order_id      uuid NOT NULL REFERENCES orders (id),
    state         text NOT NULL CHECK (state IN ('requested', 'pending', 'succeeded', 'failed')),
    amount_minor  bigint NOT NULL CHECK (amount_minor > 0),
    currency_code text NOT NULL REFERENCES shop (currency_code),
    provider_ref  text,
    is_own        boolean NOT NULL,  -- false: it was made at the provider, and reserves nothing
    reason        text NOT NULL CHECK (length(reason) <= 500),
    failure       text NOT NULL DEFAULT '',
    actor_kind    text NOT NULL,
    actor_id      uuid,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX refunds_by_order ON refunds (order_id, id);
CREATE INDEX refunds_by_payment ON refunds (payment_id);
CREATE INDEX refunds_by_state ON refunds (state, id);

-- The units that a refund is for. A refund of an amount has none.
CREATE TABLE refund_lines (
    refund_id     uuid NOT NULL REFERENCES refunds (id),
    product_id    uuid NOT NULL,
    quantity      integer NOT NULL CHECK (quantity > 0),
    amount_minor  bigint NOT NULL CHECK (amount_minor >= 0),
    currency_code text NOT NULL REFERENCES shop (currency_code),
    PRIMARY KEY (refund_id, product_id)
);

CREATE TABLE disputes (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    payment_id      uuid NOT NULL REFERENCES payments (id),
    order_id        uuid NOT NULL REFERENCES orders (id),
    provider_ref    text NOT NULL UNIQUE,
    state           text NOT NULL CHECK (state IN ('inquiry', 'open', 'won', 'lost')),
    amount_minor    bigint NOT NULL,
    withdrawn_minor bigint NOT NULL,
    currency_code   text NOT NULL REFERENCES shop (currency_code),
    reason          text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX disputes_by_order ON disputes (order_id);
CREATE INDEX disputes_by_state ON disputes (state, id);

-- The outbox: each request that changes something at a provider commits before it is sent. The idempotency key there is id:attempt. Rows
-- are never deleted.
CREATE TABLE provider_requests (
    id           uuid PRIMARY KEY DEFAULT uuidv7(),
    provider     text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('create', 'capture', 'cancel', 'refund')),
    payment_id   uuid NOT NULL REFERENCES payments (id),
    refund_id    uuid REFERENCES refunds (id),
    amount_minor bigint NOT NULL,
    attempt      integer NOT NULL DEFAULT 1,
    tries        integer NOT NULL DEFAULT 0,
    sent_at      timestamptz,  -- the first send of this attempt
    next_at      timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    outcome      text CHECK (outcome IN ('succeeded', 'failed')),  -- NULL: not known yet
    code         text NOT NULL DEFAULT '',  -- the provider's code of the last failure
    created_at   timestamptz NOT NULL DEFAULT now(),
    settled_at   timestamptz,
    CONSTRAINT provider_requests_settled_check CHECK ((outcome IS NULL) = (settled_at IS NULL)),
    CONSTRAINT provider_requests_refund_check CHECK ((kind = 'refund') = (refund_id IS NOT NULL))
);

CREATE INDEX provider_requests_due ON provider_requests (next_at) WHERE outcome IS NULL;
CREATE INDEX provider_requests_unsettled ON provider_requests (id) WHERE outcome IS NULL;
CREATE INDEX provider_requests_by_payment ON provider_requests (payment_id);
-- A payment is created, captured, and cancelled, by one request of each kind at a time, and each refund is sent by one.
CREATE UNIQUE INDEX provider_requests_open ON provider_requests (payment_id, kind, coalesce(refund_id, payment_id)) WHERE outcome IS NULL;

-- The inbox: notices of providers. They say only that something has changed; a worker then reads the payment.
CREATE TABLE provider_events (
    provider       text NOT NULL,
    event_id       text NOT NULL,
    id             uuid NOT NULL UNIQUE DEFAULT uuidv7(),
    kind           text NOT NULL,
    provider_ref   text NOT NULL,  -- of the payment
    happened_at    timestamptz NOT NULL,
    received_at    timestamptz NOT NULL DEFAULT now(),
    tries          integer NOT NULL DEFAULT 0,
    next_at        timestamptz NOT NULL DEFAULT now(),
    leased_until   timestamptz,
    applied_at     timestamptz,
    quarantined_at timestamptz,
    failure        text NOT NULL DEFAULT '',
    resolved_at    timestamptz,
    PRIMARY KEY (provider, event_id)
);

CREATE INDEX provider_events_due ON provider_events (next_at) WHERE applied_at IS NULL AND quarantined_at IS NULL;
CREATE INDEX provider_events_quarantined ON provider_events (id) WHERE quarantined_at IS NOT NULL;
CREATE INDEX provider_events_by_age ON provider_events (received_at);
