-- phase: contract
-- The workers of the release before write only actors that the wider condition of 0059 has too.
ALTER TABLE order_history DROP CONSTRAINT order_history_actor_kind_check;
