-- phase: expand
ALTER TABLE order_items VALIDATE CONSTRAINT order_items_units_check;
