-- phase: contract
-- Only the deletion of a product would read this index, or a bad plan: a product can be in very many carts.
DROP INDEX cart_items_by_product;
