-- phase: expand
-- The guest whose contact address a mail verifies. It has no foreign key: a mail whose guest was swept is dropped when it is due.
ALTER TABLE mails ADD COLUMN account_id uuid;
