-- phase: expand
-- Rises with each change of what a shop charges besides the prices of its products; workers keep the rules of a version in memory.
CREATE TABLE price_rules (
    singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT price_rules_singleton_check CHECK (singleton),
    version bigint NOT NULL DEFAULT 0
);
INSERT INTO price_rules DEFAULT VALUES;
