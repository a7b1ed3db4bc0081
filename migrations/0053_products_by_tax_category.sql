-- phase: index
-- For the foreign key, when a category is archived.
CREATE INDEX CONCURRENTLY IF NOT EXISTS products_by_tax_category ON products (tax_category, tax_category_live)
    WHERE tax_category IS NOT NULL;
