-- phase: index
CREATE INDEX CONCURRENTLY IF NOT EXISTS mails_by_address ON mails (address);
