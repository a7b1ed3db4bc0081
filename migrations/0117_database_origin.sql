-- phase: expand
-- The cluster that has given out the transaction ids in these tables, and the last restore. A worker reads it beside the rows of an order.
CREATE TABLE database_origin (
    singleton           boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    system_identifier   bigint      NOT NULL,
    timeline            text        NOT NULL CHECK (timeline ~ '^[0-9A-F]{8}$'),
    restores            integer     NOT NULL DEFAULT 0 CHECK (restores BETWEEN 0 AND 2000),
    restored_at         timestamptz,
    restored_to         timestamptz,
    payments_paused_at  timestamptz,
    payments_resumed_at timestamptz
);

INSERT INTO database_origin (system_identifier, timeline)
SELECT system_identifier, substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) FROM pg_control_system();

-- Differences between the shop and its payment provider that an operator has accepted, by a digest of their ids and values.
CREATE TABLE accepted_differences (
    id          text        PRIMARY KEY,
    reason      text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    accepted_at timestamptz NOT NULL DEFAULT now()
);
