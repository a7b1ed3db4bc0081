-- phase: contract
-- Lists by name have the order of the keys since 0014 and 0015.
DROP INDEX products_by_name;
DROP INDEX products_by_category_name;
