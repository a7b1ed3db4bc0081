-- phase: expand
-- The live row of the table slugs, as of categories and products. Workers of the previous release give none, and a task does later. They
-- delete groups too, and know no slugs, so a trigger deletes those of a group.
ALTER TABLE product_groups ADD COLUMN slug text COLLATE "C";

CREATE FUNCTION drop_group_slugs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM slugs WHERE kind = 'group' AND subject_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER product_groups_deleted AFTER DELETE ON product_groups FOR EACH ROW EXECUTE FUNCTION drop_group_slugs();
