"""Buyers that shop through the Python client, in a process that may be killed.

As a program: `client_buyers.py KIND TARGET JOURNAL PRODUCT TOKEN...` runs a buyer for each token until SIGTERM, with `Client` or
`AsyncClient`. Each buyer keeps a journal, so that it repeats an unfinished checkout with its key after its process was killed.
"""

import asyncio
import base64
import itertools
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CALL_S = 2.0
"""Deadline of a call, which is shorter than the start of a worker: some calls end with an unknown outcome."""
PAUSE_S = 0.05
BEGUN, UNKNOWN, DONE, REPLAYED, REFUSED = "begun", "unknown", "done", "replayed", "refused"
KEPT = frozenset({"ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"})
"""Codes after which a checkout is sent again."""


class Journal:
    """The file in which a buyer notes what it is about to do, and what came of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> list[list[str]]:
        """Return the words of each whole line; a process that was killed may have left a part of one."""
        text = self._path.read_text() if self._path.exists() else ""
        return [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def unfinished(self) -> str | None:
        """Return the key of the checkout whose outcome the buyer does not know."""
        last = next((words for words in reversed(self.entries())), [DONE])
        return last[1] if last[0] in {BEGUN, UNKNOWN} else None

    def note(self, *words: str) -> None:
        """Add a line."""
        with self._path.open("a") as file:
            file.write(f"{' '.join(words)}\n")

    def done(self) -> int:
        """Return how many checkouts were acknowledged."""
        return sum(words[0] == DONE for words in self.entries())


def main() -> None:
    """Run the buyers of one process."""
    kind, target, base, product_id, *tokens = sys.argv[1:]
    closing = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: closing.set())
    journals = [Journal(Path(base).with_suffix(f".{number}")) for number in range(len(tokens))]
    if kind == "AsyncClient":
        asyncio.run(_all(target, product_id, tokens, journals, closing))
        return
    threads = [
        threading.Thread(target=_shop, args=(target, product_id, token, journal, closing))
        for token, journal in zip(tokens, journals, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _shop(target: str, product_id: str, token: str, journal: Journal, closing: threading.Event) -> None:
    """Buy again and again."""
    from mercato import Client
    from mercato.errors import MercatoError

    pause = threading.Event()
    with Client(target, token=token, timeout=CALL_S) as shop:
        for key in _keys(journal, closing):
            try:
                if journal.unfinished() is None:
                    shop.cart.set_cart_item(product_id=product_id, quantity=1)
                    journal.note(BEGUN, key)
                answer = shop.with_response.orders.checkout(idempotency_key=key)
            except MercatoError as error:
                _note(journal, key, error)
                pause.wait(PAUSE_S)
            else:
                journal.note(DONE, key, base64.b64encode(answer.message.SerializeToString()).decode(), *[REPLAYED] * answer.replayed)


async def _shop_async(target: str, product_id: str, token: str, journal: Journal, closing: threading.Event) -> None:
    """Buy again and again, in an event loop."""
    from mercato import AsyncClient
    from mercato.errors import MercatoError

    async with AsyncClient(target, token=token, timeout=CALL_S) as shop:
        for key in _keys(journal, closing):
            try:
                if journal.unfinished() is None:
                    await shop.cart.set_cart_item(product_id=product_id, quantity=1)
                    journal.note(BEGUN, key)
                answer = await shop.with_response.orders.checkout(idempotency_key=key)
            except MercatoError as error:
                _note(journal, key, error)
                await asyncio.sleep(PAUSE_S)
            else:
                journal.note(DONE, key, base64.b64encode(answer.message.SerializeToString()).decode(), *[REPLAYED] * answer.replayed)


async def _all(target: str, product_id: str, tokens: Sequence[str], journals: Sequence[Journal], closing: threading.Event) -> None:
    await asyncio.gather(
        *(_shop_async(target, product_id, token, journal, closing) for token, journal in zip(tokens, journals, strict=True))
    )


def _keys(journal: Journal, closing: threading.Event) -> Iterator[str]:
    """Yield the key of the unfinished checkout, else a new one; ends when the process shall end and none is unfinished."""
    for _ in itertools.count():
        unfinished = journal.unfinished()
        if unfinished is None and closing.is_set():
            return
        yield unfinished or uuid.uuid4().hex


def _note(journal: Journal, key: str, error: Any) -> None:
    """Note a failure of a checkout: unknown, or final. A failure before it has no entry."""
    from mercato.errors import ConnectionFailed

    if journal.unfinished() is None:
        return
    if isinstance(error, ConnectionFailed):  # nothing was sent
        return
    if error.outcome_unknown:
        assert error.idempotency_key == key
        journal.note(UNKNOWN, key)
    elif error.code not in KEPT:
        journal.note(REFUSED, key, error.code, error.reason)


if __name__ == "__main__":
    main()
