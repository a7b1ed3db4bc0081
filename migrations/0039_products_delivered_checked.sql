-- phase: expand
ALTER TABLE products
    VALIDATE CONSTRAINT products_tax_category_fkey,
    VALIDATE CONSTRAINT products_tax_category_live_check,
    VALIDATE CONSTRAINT products_weight_grams_check;
