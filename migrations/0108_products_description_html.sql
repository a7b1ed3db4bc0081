-- phase: expand
-- The description in HTML, cleaned when it is written; NULL without one. `description` has the text.
ALTER TABLE products ADD COLUMN description_html text;
