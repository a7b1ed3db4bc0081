-- phase: expand
ALTER TABLE products
    VALIDATE CONSTRAINT products_group_id_fkey,
    VALIDATE CONSTRAINT products_options_check;
