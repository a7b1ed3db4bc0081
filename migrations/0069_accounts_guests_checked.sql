-- phase: contract
-- The workers of the release before write only roles that the wider condition of 0068 has too, always with e-mail address and password.
ALTER TABLE accounts
    VALIDATE CONSTRAINT accounts_roles_check,
    VALIDATE CONSTRAINT accounts_login_check,
    DROP CONSTRAINT accounts_role_check,
    ALTER COLUMN email DROP NOT NULL,
    ALTER COLUMN password_hash DROP NOT NULL;
