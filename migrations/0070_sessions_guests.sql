-- phase: expand
-- A guest's session keeps the rights of a guest when a sign-up upgrades its account.
ALTER TABLE sessions ADD COLUMN is_guest boolean NOT NULL DEFAULT false;
