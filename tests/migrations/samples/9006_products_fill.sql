-- phase: backfill
WITH batch AS (
    SELECT id
      FROM products
     WHERE id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') AND parcel_grams IS NULL
     ORDER BY id  -- the lock order of checkouts, so a batch cannot deadlock with them
     LIMIT $2
       FOR NO KEY UPDATE
), filled AS (
    UPDATE products SET parcel_grams = 100 + length(name) FROM batch WHERE products.id = batch.id
)
SELECT id FROM batch ORDER BY id DESC LIMIT 1;
