-- Sessions with rotated refresh tokens, the keys that sign access tokens, and the memory of failed logins.

ALTER TABLE accounts
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN email_verified_at timestamptz;

-- A login, on one device. It lives as long as its refresh tokens are exchanged, and 30 days at most.
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

-- Only digests: a copy of the database opens no session. Used tokens are kept, to notice that two hold the same one.
CREATE TABLE refresh_tokens (
    digest     bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE UNIQUE INDEX refresh_tokens_live ON refresh_tokens (session_id) WHERE used_at IS NULL;

-- The private keys are sealed with SECRET_KEY. `next` is published ahead, `retired` verifies what it signed until that has expired.
CREATE TABLE signing_keys (
    kid         text PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('next', 'current', 'retired')),
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX signing_keys_state ON signing_keys (state) WHERE state <> 'retired';

-- Failed logins by a keyed digest of the e-mail address, whether it has an account or not.
CREATE TABLE login_attempts (
    address_digest bytea PRIMARY KEY,
    failures       integer NOT NULL CHECK (failures > 0),
    blocked_until  timestamptz NOT NULL
);

CREATE INDEX login_attempts_by_age ON login_attempts (blocked_until);
