-- phase: expand
-- The key of the product. Its rule is that of the document: a document of an older rule tells that both keys may be old.
ALTER TABLE product_search ADD COLUMN name_key bytea NOT NULL DEFAULT '';
