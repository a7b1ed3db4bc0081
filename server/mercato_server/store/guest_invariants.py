"""The invariant of guests, as a query for store/invariants.py."""

# A guest can have no login and no full session, and no other account has what belongs to guests.
WRONG_GUESTS = """
SELECT id AS account_id, role, 'account' AS place
  FROM accounts
 WHERE CASE WHEN role = 'guest' THEN num_nonnulls(email, password_hash) > 0
            ELSE (num_nulls(email, password_hash) > 0 AND erased_at IS NULL)
                 OR num_nonnulls(network, verified_contact, guest_check_at) > 0 END
 UNION ALL
SELECT account.id, account.role, 'session'
  FROM sessions AS session
  JOIN accounts AS account ON account.id = session.account_id
 WHERE account.role = 'guest' AND NOT session.is_guest
"""
