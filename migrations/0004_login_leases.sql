-- phase: expand
-- Ends of the leases of attempts whose outcome is open. `failures` counts these attempts too.
ALTER TABLE login_attempts ADD COLUMN leases timestamptz[] NOT NULL DEFAULT '{}';
