"""The check of a password that a caller sets."""

from mercato_server.security import common_passwords
from mercato_server.security.passwords import weakness
from mercato_server.validation.checks import Checks


async def check_new_password(check: Checks, field: str, password: str, *own: str) -> None:
    """Report a weak password; `own` are the address and the name of its account."""
    await common_passwords.load()
    if weak := weakness(password, *own):
        check.fail(field, weak)
