-- Keys of calls that nobody is logged in for (signup) have the scope of the nil UUID, which is no account.
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_account_id_fkey;
ALTER TABLE idempotency_keys RENAME COLUMN account_id TO scope_id;

-- The sweep of old events goes by age.
CREATE INDEX events_by_age ON events (created_at);
