-- phase: contract
-- An erased account keeps its id and role, and nothing else of its owner. The condition of the dropped constraint is narrower than the new one,
-- so the workers of the release before write no row that violates it.
ALTER TABLE accounts
    -- When the owner's data was erased; NULL for all other accounts.
    ADD COLUMN erased_at timestamptz,
    ADD CONSTRAINT accounts_identity_check
    CHECK (role = 'guest' OR erased_at IS NOT NULL OR (email IS NOT NULL AND password_hash IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT accounts_erased_check
    CHECK (
        erased_at IS NULL
        OR (num_nonnulls(email, password_hash, network, verified_contact) = 0 AND full_name = '' AND known_networks = '{}')
    ) NOT VALID,
    DROP CONSTRAINT accounts_login_check;
