-- phase: expand
-- How the buyers are taxed whom an administrator exempts; accounts without a row are taxed normally.
CREATE TABLE account_taxes (
    account_id uuid PRIMARY KEY CONSTRAINT account_taxes_account_id_fkey REFERENCES accounts (id) ON DELETE CASCADE,
    treatment  text NOT NULL CONSTRAINT account_taxes_treatment_check CHECK (treatment IN ('normal', 'reverse_charge', 'exempt')),
    tax_number text NOT NULL CONSTRAINT account_taxes_tax_number_check CHECK (length(tax_number) <= 50),
    updated_at timestamptz NOT NULL DEFAULT now()
);
