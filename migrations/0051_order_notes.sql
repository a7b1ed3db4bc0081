-- phase: expand
-- Notes of administrators about an order. Its buyer never sees them.
CREATE TABLE order_notes (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id uuid NOT NULL REFERENCES orders (id),
    actor_id uuid NOT NULL,
    text text NOT NULL CONSTRAINT order_notes_text_check CHECK (length(text) BETWEEN 1 AND 2000),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX order_notes_by_order ON order_notes (order_id, id);
