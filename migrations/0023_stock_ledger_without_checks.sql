-- phase: contract
ALTER TABLE stock_ledger
    DROP CONSTRAINT stock_ledger_order_id_fkey,
    DROP CONSTRAINT stock_ledger_product_id_fkey;
