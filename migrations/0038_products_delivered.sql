-- phase: expand
-- How a product is taxed and delivered. Without a tax category it bears no tax.
ALTER TABLE products
    ADD COLUMN tax_category text,
    ADD COLUMN needs_delivery boolean NOT NULL DEFAULT false,
    ADD COLUMN weight_grams integer NOT NULL DEFAULT 0;

ALTER TABLE products
    ADD CONSTRAINT products_tax_category_fkey FOREIGN KEY (tax_category) REFERENCES tax_categories (id) NOT VALID,
    ADD CONSTRAINT products_weight_grams_check CHECK (weight_grams >= 0) NOT VALID;
