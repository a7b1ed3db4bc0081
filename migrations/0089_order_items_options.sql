-- phase: expand
-- The options of a variant as its line showed them when it was sold; empty for a product without options.
ALTER TABLE order_items ADD COLUMN options_text text NOT NULL DEFAULT '';
