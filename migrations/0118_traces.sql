-- phase: expand
-- The trace of the transaction that writes a row, for the work that the row causes: a transaction with spans sets mercato.traceparent for
-- itself. A session in which it was set once has it empty later.
ALTER TABLE events ADD COLUMN traceparent text;
ALTER TABLE events ALTER COLUMN traceparent SET DEFAULT nullif(current_setting('mercato.traceparent', true), '');
ALTER TABLE provider_requests ADD COLUMN traceparent text;
ALTER TABLE provider_requests ALTER COLUMN traceparent SET DEFAULT nullif(current_setting('mercato.traceparent', true), '');
