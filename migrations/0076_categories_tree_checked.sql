-- phase: expand
ALTER TABLE categories
    VALIDATE CONSTRAINT categories_parent_id_fkey,
    VALIDATE CONSTRAINT categories_parent_check,
    VALIDATE CONSTRAINT categories_ring_check,
    VALIDATE CONSTRAINT categories_depth_check,
    VALIDATE CONSTRAINT categories_position_check;
