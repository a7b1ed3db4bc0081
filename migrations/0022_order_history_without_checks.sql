-- phase: contract
ALTER TABLE order_history DROP CONSTRAINT order_history_order_id_fkey;
