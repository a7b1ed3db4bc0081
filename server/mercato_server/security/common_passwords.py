"""The commonest passwords, from breaches, as the package zxcvbn lists them."""

import asyncio
import functools
import sys


@functools.cache
def common_passwords() -> frozenset[str]:
    """Return 30,000 passwords in lower case. The first call takes a third of a second."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    del sys.modules["zxcvbn.frequency_lists"]  # its lists of words and names would stay in memory
    return frozenset(FREQUENCY_LISTS["passwords"])


async def load() -> None:
    """Load the passwords off the event loop."""
    if not common_passwords.cache_info().currsize:
        await asyncio.to_thread(common_passwords)
