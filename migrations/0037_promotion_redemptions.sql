-- phase: expand
-- The uses of promotions by orders. Order, promotion and code have no foreign keys: the statement that writes a redemption has locked or
-- just written them, and none of them is ever deleted (0019 has the reason).
CREATE TABLE promotion_redemptions (
    order_id      uuid NOT NULL,
    promotion_id  uuid NOT NULL,
    code_folded   text COLLATE "C",  -- NULL for a promotion that applied without a code
    subjects      text[] NOT NULL CHECK (cardinality(subjects) BETWEEN 1 AND 2),  -- the buyer, as in promotion_buyers
    amount_minor  bigint NOT NULL CHECK (amount_minor > 0),  -- what was really given
    currency_code text NOT NULL REFERENCES shop (currency_code),
    released_at   timestamptz,  -- the cancellation of the order: its use no longer counts
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, promotion_id)
);

CREATE INDEX promotion_redemptions_unreleased ON promotion_redemptions (promotion_id) WHERE released_at IS NULL;

-- The uses by buyer, of promotions that limit them. Only a transaction that has locked the promotion reads or writes its rows.
CREATE TABLE promotion_buyers (
    promotion_id uuid NOT NULL,
    subject      text NOT NULL,  -- account:<id> or email:<digest of the canonical address>
    uses         integer NOT NULL CHECK (uses >= 0),
    PRIMARY KEY (promotion_id, subject)
);

-- A statement that waits for a promotion does not see the rows that were written meanwhile. A volatile function does: each of its queries
-- has a snapshot of its own.
CREATE FUNCTION uses_of_buyers(promotions uuid[], subjects text[]) RETURNS SETOF promotion_buyers
    LANGUAGE sql VOLATILE
    AS $$
SELECT promotion_id, subject, uses FROM promotion_buyers WHERE promotion_id = ANY (promotions) AND subject = ANY (subjects)
$$;
