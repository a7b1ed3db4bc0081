-- phase: expand
-- How a product is taxed and delivered. Without a tax category it bears no tax. A product on sale has a category that is not archived; NULL
-- in tax_category_live frees that of a deleted product.
ALTER TABLE products
    ADD COLUMN tax_category text COLLATE "C",
    ADD COLUMN tax_category_live boolean DEFAULT true,
    ADD COLUMN needs_delivery boolean NOT NULL DEFAULT false,
    ADD COLUMN weight_grams integer NOT NULL DEFAULT 0;

ALTER TABLE products
    ADD CONSTRAINT products_tax_category_fkey FOREIGN KEY (tax_category, tax_category_live)
        REFERENCES tax_categories (id, is_live) NOT VALID,
    ADD CONSTRAINT products_tax_category_live_check CHECK (tax_category_live) NOT VALID,  -- or NULL
    ADD CONSTRAINT products_weight_grams_check CHECK (weight_grams >= 0) NOT VALID;
