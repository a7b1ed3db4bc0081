-- phase: expand
ALTER TABLE order_history VALIDATE CONSTRAINT order_history_actor_check;
