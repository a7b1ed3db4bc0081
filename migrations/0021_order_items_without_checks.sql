-- phase: contract
-- The statement that places an order takes order and products from rows that it has locked or just written.
ALTER TABLE order_items
    DROP CONSTRAINT order_items_order_id_fkey,
    DROP CONSTRAINT order_items_product_fkey;
