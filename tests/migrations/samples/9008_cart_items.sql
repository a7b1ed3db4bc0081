-- phase: contract
ALTER TABLE cart_items DROP COLUMN wrapped;
