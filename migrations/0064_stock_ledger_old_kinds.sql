-- phase: contract
-- The workers of the release before write only rows that the wider conditions of 0062 allow too.
ALTER TABLE stock_ledger
    DROP CONSTRAINT stock_ledger_actor_kind_check,
    DROP CONSTRAINT stock_ledger_check,
    DROP CONSTRAINT stock_ledger_kind_check;
