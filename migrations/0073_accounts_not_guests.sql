-- phase: index
-- Lists of accounts leave guests out.
CREATE INDEX CONCURRENTLY IF NOT EXISTS accounts_not_guests ON accounts (id) WHERE role <> 'guest';
