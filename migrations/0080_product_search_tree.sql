-- phase: expand
-- Documents know all categories above that of their product, and the table category_listings follows them.
CREATE TRIGGER product_search_categories BEFORE INSERT OR UPDATE OF category_ids ON product_search
    FOR EACH ROW WHEN (cardinality(new.category_ids) > 0) EXECUTE FUNCTION complete_category_ids();

CREATE TRIGGER product_search_inserted AFTER INSERT ON product_search
    FOR EACH ROW WHEN (new.locale = '' AND cardinality(new.category_ids) > 1) EXECUTE FUNCTION list_document();

CREATE TRIGGER product_search_updated AFTER UPDATE ON product_search
    FOR EACH ROW WHEN (
        new.locale = '' AND (cardinality(old.category_ids) > 1 OR cardinality(new.category_ids) > 1)
        AND (old.category_ids, old.price_minor, old.name_key) IS DISTINCT FROM (new.category_ids, new.price_minor, new.name_key)
    ) EXECUTE FUNCTION list_document();

CREATE TRIGGER product_search_deleted AFTER DELETE ON product_search
    FOR EACH ROW WHEN (old.locale = '' AND cardinality(old.category_ids) > 1) EXECUTE FUNCTION list_document();
