-- phase: expand
-- The lines, the history and the ledger of an order refer to it, and to its products, without foreign keys: their checks cost a third of
-- a checkout. Instead, no statement can delete an order or a product, or change its id.
CREATE FUNCTION refuse_removal() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted, and their ids never change', tg_table_name USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER orders_are_kept BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON orders FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
