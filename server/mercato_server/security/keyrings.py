"""The keyring of a shop: SECRET_KEY, or the sealed keys in its database."""

import asyncio
import os
from collections.abc import Sequence

from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool, small_pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.events import EventKind
from mercato_server.feed.listener import Listener
from mercato_server.security.keys import WrongSecretError, generate, unseal
from mercato_server.security.security_log import KEYS_CHANGED, log
from mercato_server.security.session_cache import Sessions
from mercato_server.security.tokens import Keyring
from mercato_server.store import signing_keys
from mercato_server.store.signing_keys import KeyState

EDDSA = "EdDSA"
RETRY_S = 1.0


class KeysError(Exception):
    """The keys cannot be rotated; the message says why."""


async def load(pool: "Pool", settings: Settings) -> Keyring:
    """Return the keys of a shop, and create the first ones. Raises WrongSecretError if they were sealed with another SECRET_KEY."""
    if settings.algorithm != EDDSA:
        return Keyring.shared(settings.secret_key, settings.algorithm)
    stored = await signing_keys.load(pool)
    if not stored:
        await signing_keys.ensure(pool, generate(settings.secret_key), generate(settings.secret_key))
        stored = await signing_keys.load(pool)
    private = {each.key.kid: unseal(each.key, settings.secret_key) for each in stored}
    current = next(each.key.kid for each in stored if each.state is KeyState.CURRENT)
    return Keyring(EDDSA, current, private[current], {kid: key.public_key() for kid, key in private.items()})


async def rotate(database_url: str, secret: str, *, discard: bool) -> str:
    """Make the next key sign, or a new key with `discard`; return the id of the key that signs now. Raises KeysError.

    The log tells which user of which machine did so, and the ids of the keys by their states before and after.
    """
    async with small_pool(database_url) as pool:
        before = _ids(await signing_keys.load(pool))
        if discard:
            await signing_keys.replace(pool, generate(secret), generate(secret), COMMAND_LINE)
        else:
            await _rotate(pool, secret)
        after = _ids(await signing_keys.load(pool))
    action = "discarded" if discard else "rotated"
    by = {"uid": os.getuid(), "host": os.uname().nodename}
    log.warning("the keys that sign tokens were changed", reason=KEYS_CHANGED, action=action, **by, before=before, after=after)
    return after[KeyState.CURRENT][0]


def _ids(keys: Sequence[signing_keys.StoredKey]) -> dict[KeyState, list[str]]:
    return {state: [each.key.kid for each in keys if each.state is state] for state in KeyState}


async def _rotate(pool: "Pool", secret: str) -> None:
    try:
        for each in await signing_keys.load(pool):
            unseal(each.key, secret)
        await signing_keys.rotate(pool, generate(secret), COMMAND_LINE)
    except WrongSecretError:
        raise KeysError("SECRET_KEY is not the one that the keys were sealed with; restore it, or drop them with --discard") from None
    except signing_keys.NextKeyTooNewError:
        minutes = signing_keys.PUBLISHED_S // 60
        raise KeysError(
            f"there is no next key that has been published for {minutes} minutes, which is how long others may cache the keys; wait, or "
            "drop all keys with --discard"
        ) from None


class KeyWatch:
    """Keeps a worker's keyring equal to the shop's."""

    def __init__(self, pool: "Pool", settings: Settings, known: Sessions, listener: Listener) -> None:
        self._pool = pool
        self._settings = settings
        self._known = known
        self._changed = asyncio.Event()
        listener.subscribe([EventKind.KEYS_CHANGED], lambda _news: self._changed.set(), self._changed.set)

    async def keep(self) -> None:
        """Load the keys whenever they change, until cancelled or until loading fails; the previous keys stay in use until then."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                keyring = await load(self._pool, self._settings)
            except WrongSecretError as error:
                log.warning("cannot use the keys that sign tokens", reason=KEYS_CHANGED, error=repr(error))
                self._changed.set()
                await asyncio.sleep(RETRY_S)
            except Exception:
                self._changed.set()  # so that it is tried again
                raise
            else:
                self._use(keyring)

    def _use(self, keyring: Keyring) -> None:
        known = self._known.tokens.keyring
        if keyring.verifying.keys() != known.verifying.keys() or keyring.kid != known.kid:
            verifying = sorted(map(str, keyring.verifying))
            log.warning("tokens are signed with other keys", reason=KEYS_CHANGED, kid=keyring.kid, before=known.kid, verifying=verifying)
            self._known.use(keyring)
