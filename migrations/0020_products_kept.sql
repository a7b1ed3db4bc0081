-- phase: expand
CREATE TRIGGER products_are_kept BEFORE DELETE OR TRUNCATE OR UPDATE OF id, currency_code ON products
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
