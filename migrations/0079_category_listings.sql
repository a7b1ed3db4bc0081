-- phase: expand
-- The products on sale in the subcategories of a category, one row for each category above that of the product. A list of a category merges
-- these with the category's own products, both in the order of an index. A shop without subcategories has no rows.
CREATE TABLE category_listings (
    category_id uuid NOT NULL,
    id          uuid NOT NULL,  -- of the product
    price_minor bigint NOT NULL,
    name_key    bytea NOT NULL,
    PRIMARY KEY (category_id, id)
);
CREATE INDEX category_listings_by_price ON category_listings (category_id, price_minor, id);
CREATE INDEX category_listings_by_name_key ON category_listings (category_id, name_key, id);

-- Complete the categories of a document: its first one is the product's, and those above it follow. FOR SHARE waits for a move of the category,
-- and a move waits for this document; so neither misses the other. Workers of the previous release write documents too.
CREATE FUNCTION complete_category_ids() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    completed uuid[];
BEGIN
    SELECT ARRAY[id] || ancestors INTO completed FROM categories WHERE id = NEW.category_ids[1] FOR SHARE;
    NEW.category_ids := coalesce(completed, NEW.category_ids);
    RETURN NEW;
END
$$;

CREATE FUNCTION list_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM category_listings WHERE category_id = ANY (OLD.category_ids[2:]) AND id = OLD.product_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO category_listings (category_id, id, price_minor, name_key)
        SELECT category_id, NEW.product_id, NEW.price_minor, NEW.name_key FROM unnest(NEW.category_ids[2:]) AS above (category_id);
    END IF;
    RETURN NULL;
END
$$;
