-- phase: expand
ALTER TABLE stock_ledger
    VALIDATE CONSTRAINT stock_ledger_actor_check,
    VALIDATE CONSTRAINT stock_ledger_order_check,
    VALIDATE CONSTRAINT stock_ledger_kinds_check;
