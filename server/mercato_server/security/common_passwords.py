"""The commonest passwords, from breaches, as the package zxcvbn lists them."""

import asyncio
import functools
import sys
import threading

_LOADING = threading.Lock()


def common_passwords() -> frozenset[str]:
    """Return 30,000 passwords in lower case. The first call takes a third of a second."""
    with _LOADING:  # a cache of functools lets two threads load at once
        return _load()


async def load() -> None:
    """Load the passwords off the event loop."""
    if not _load.cache_info().currsize:
        await asyncio.to_thread(common_passwords)


@functools.cache
def _load() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    del sys.modules["zxcvbn.frequency_lists"]  # its lists of words and names would stay in memory
    return frozenset(FREQUENCY_LISTS["passwords"])
