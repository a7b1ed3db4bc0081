-- phase: contract
-- stock_ledger_steps has all of its columns, and workers of the release before write no reference_id, so it holds for them as this did.
DROP INDEX stock_ledger_once;
