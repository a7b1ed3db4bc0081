-- phase: expand
-- The slugs of a category go with it. Workers of the previous release delete categories too, and know no slugs.
CREATE FUNCTION drop_category_slugs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM slugs WHERE kind = 'category' AND subject_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER categories_deleted AFTER DELETE ON categories FOR EACH ROW EXECUTE FUNCTION drop_category_slugs();
