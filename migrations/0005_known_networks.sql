-- phase: expand
-- Digests of the networks that the account logged in from, the last one first.
ALTER TABLE accounts ADD COLUMN known_networks bytea[] NOT NULL DEFAULT '{}';
