-- phase: expand
CREATE TABLE complaints (order_id uuid PRIMARY KEY REFERENCES orders (id), created_at timestamptz NOT NULL);
