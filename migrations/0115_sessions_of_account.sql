-- phase: index
-- The other index of accounts has live sessions only. This one finds all those of an account that is deleted or erased.
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_of_account ON sessions (account_id);
