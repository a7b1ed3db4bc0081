-- phase: expand
-- A product may be a variant of a group. `options` holds pairs of name and value in the order of the group, as they were written;
-- `folded_options` holds the same in the form in which two variants are compared, and `options_text` as lines of carts and orders show it.
-- A collapsed list has the products that are listed: all without a group, and one for each group. Products of workers of the previous
-- release have no group.
ALTER TABLE products
    ADD COLUMN group_id uuid,
    ADD COLUMN options jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN folded_options jsonb,
    ADD COLUMN options_text text NOT NULL DEFAULT '',
    ADD COLUMN position integer NOT NULL DEFAULT 0,
    ADD COLUMN is_listed boolean NOT NULL DEFAULT true;

ALTER TABLE products
    ADD CONSTRAINT products_group_id_fkey FOREIGN KEY (group_id) REFERENCES product_groups (id) NOT VALID,
    ADD CONSTRAINT products_options_check
        CHECK (CASE WHEN group_id IS NULL THEN options = '[]' AND folded_options IS NULL AND options_text = '' AND is_listed
                    ELSE options <> '[]' AND options_text <> '' END) NOT VALID;
