-- What administrators did, and what they need to find accounts.

-- Append-only, and kept: no statement of the server changes or deletes a row.
CREATE TABLE audit_log (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    actor_id   uuid REFERENCES accounts (id),  -- NULL for the command line
    action     text NOT NULL,
    subject_id uuid,                           -- NULL for what has no UUID, such as a signing key
    before     jsonb NOT NULL,                 -- only the fields that changed
    after      jsonb NOT NULL,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX audit_log_by_actor ON audit_log (actor_id, id);
CREATE INDEX audit_log_by_subject ON audit_log (subject_id, id);
CREATE INDEX audit_log_by_action ON audit_log (action, id);

-- Not CONCURRENTLY, which no transaction can do: signups and logins wait while these are made.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX accounts_admins ON accounts (id) WHERE role = 'admin';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX accounts_disabled ON accounts (id) WHERE disabled_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX accounts_by_text ON accounts USING gin (fold(email || ' ' || full_name) gin_trgm_ops);
