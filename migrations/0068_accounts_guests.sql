-- phase: expand
-- Guests are accounts without e-mail address and password. Accounts of all other roles have both.
ALTER TABLE accounts
    -- A keyed digest of the network that made a guest; NULL for all other accounts.
    ADD COLUMN network bytea,
    -- The contact address that a guest has proven by the link of a mail.
    ADD COLUMN verified_contact text,
    -- When the sweep looks at a guest again; NULL for guests with orders, and for all other accounts.
    ADD COLUMN guest_check_at timestamptz,
    ADD CONSTRAINT accounts_roles_check CHECK (role IN ('user', 'admin', 'guest')) NOT VALID,
    ADD CONSTRAINT accounts_login_check
    CHECK (role = 'guest' OR (email IS NOT NULL AND password_hash IS NOT NULL)) NOT VALID;
