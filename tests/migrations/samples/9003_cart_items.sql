-- phase: expand
ALTER TABLE cart_items ADD COLUMN wrapped boolean NOT NULL DEFAULT false;
