-- phase: expand
-- A collapsed list shows which options of a group have stock. So the row of a group knows its variants on sale, in their order: the ids of
-- their stock levels, and their options as products have them. It is written with the range of prices, and never by a checkout.
ALTER TABLE product_groups
    ADD COLUMN variant_ids uuid[],
    ADD COLUMN variant_options jsonb;
