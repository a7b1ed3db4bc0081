"""The limit of what the guests of one network hold together, as a part of statements: strangers make guests at will."""

from mercato_server.config.settings import GUEST_DAYS, NETWORK_ACCOUNTS, NETWORK_GUESTS


def is_full(network: str, rows: str, most: str) -> str:
    """Return the condition that the newest guests of a network hold as many rows as NETWORK_ACCOUNTS accounts may.

    `rows` is FROM and WHERE of the rows of the account `guest.id`, and `most` how many of them an account may have.
    """
    return f"""(SELECT count(*)
                  FROM (SELECT
                          FROM (SELECT id
                                  FROM accounts AS newest
                                 WHERE newest.network = {network} AND newest.created_at > now() - interval '{GUEST_DAYS} days'
                                 ORDER BY newest.created_at DESC
                                 LIMIT {NETWORK_GUESTS}) AS guest
                         CROSS JOIN LATERAL (SELECT {rows} LIMIT {most}) AS held
                         LIMIT {NETWORK_ACCOUNTS} * {most}) AS counted) >= {NETWORK_ACCOUNTS} * {most}"""  # noqa: S608 - constants
