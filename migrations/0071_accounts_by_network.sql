-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS accounts_by_network ON accounts (network, created_at) WHERE network IS NOT NULL;
