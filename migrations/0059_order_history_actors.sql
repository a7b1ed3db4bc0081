-- phase: expand
-- Providers change orders too. The wider condition includes the rows of the narrower one.
ALTER TABLE order_history
    ADD CONSTRAINT order_history_actor_check
    CHECK (actor_kind IN ('buyer', 'administrator', 'system', 'provider')) NOT VALID;
