-- phase: expand
-- The pictures of a product, repeated from product_pictures and pictures, so that lists read them with the product: an array of objects with
-- `picture` (hexadecimal), `alt`, and `sides` ([width, height] of small, medium, large). NULL: none.
ALTER TABLE products ADD COLUMN pictures jsonb;
