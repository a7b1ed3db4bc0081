-- phase: expand
-- Where the name sorts, and by which rule. The workers of the previous release change a name alone: then it is not the keyed one.
ALTER TABLE categories
    ADD COLUMN name_key bytea NOT NULL DEFAULT '',
    ADD COLUMN name_key_rule smallint NOT NULL DEFAULT 0,
    ADD COLUMN keyed_name text NOT NULL DEFAULT '';
