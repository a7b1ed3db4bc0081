-- phase: backfill
WITH batch AS (
    SELECT id FROM product_groups
     WHERE id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') AND variant_ids IS NULL
     ORDER BY id LIMIT $2 FOR NO KEY UPDATE
), summary AS (
    SELECT group_id, array_agg(products.id ORDER BY position, products.id) AS variant_ids,
           jsonb_agg(options ORDER BY position, products.id) AS variant_options
      FROM products JOIN batch ON batch.id = group_id
     WHERE deleted_at IS NULL
     GROUP BY group_id
), filled AS (
    UPDATE product_groups
       SET variant_ids = coalesce(summary.variant_ids, '{}'), variant_options = coalesce(summary.variant_options, '[]')
      FROM batch LEFT JOIN summary ON group_id = batch.id
     WHERE product_groups.id = batch.id
)
SELECT id FROM batch ORDER BY id DESC LIMIT 1;
