"""Make one-time tokens without a mail."""

from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.security.one_time_tokens import OneTimeTokens, digest
from support.shop import Person

INSERT_MAIL = "INSERT INTO mails (template, address, sent_at) VALUES ($1, $2, now()) RETURNING id"
INSERT_DIGEST = """
INSERT INTO one_time_tokens (digest, mail_id, account_id, purpose, email, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + interval '1 hour')
"""


async def issue(pool: "Pool", person: Person, purpose: str) -> str:
    """Make a token for a person with a purpose: `reset_password` or `verify_email`."""
    mail_id = await pool.fetchval(INSERT_MAIL, purpose, person.email)
    token = OneTimeTokens("a secret of no shop").of(mail_id)
    await pool.execute(INSERT_DIGEST, digest(token), mail_id, UUID(person.id), purpose, person.email)
    return token
