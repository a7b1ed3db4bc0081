-- phase: contract
-- Only the deletion of a product would read this index.
DROP INDEX order_items_by_product;
