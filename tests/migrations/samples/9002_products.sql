-- phase: expand
ALTER TABLE products ADD COLUMN parcel_grams integer;
