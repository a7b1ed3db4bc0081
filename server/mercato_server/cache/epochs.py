"""Numbers that tell whether something has changed, shared by the workers of a host."""

import errno
import mmap
import os
import random
import zlib
from collections.abc import Iterable

SLOTS = 1 << 16
"""Subjects that share a slot are taken to have changed together: one of 100,000 products takes another one or two along."""
LISTING, STOCK = SLOTS, SLOTS + 1
"""Slots of two things that are no single subject: which products there are and how they are ordered; any of their stocks."""
BYTES = 8 * (SLOTS + 2)


class Epochs:
    """A number for each subject: as long as it is the same, no worker of this host has told of a change.

    A worker that changes something gives its subject another number before it answers. The workers of a host share the numbers, so the
    change is known to all of them by then: a client that got the answer reads the change at whichever worker it asks next.

    The numbers are random, so writers need no lock: whatever they overwrite, a slot never takes on an earlier number again (but for one
    time in 2 ** 64), and one that is read half-written equals none.
    """

    def __init__(self, shared: mmap.mmap | None = None) -> None:
        """Begin; `shared` is what `share` returned, None for a worker on its own."""
        self._told = memoryview(shared if shared is not None else bytearray(BYTES)).cast("Q")

    def of(self, slot: int) -> int:
        """Return the number of a slot."""
        return self._told[slot]

    def tell(self, slots: Iterable[int]) -> None:
        """Let every worker of this host know of a change; before the change is answered, or it comes too late."""
        for slot in slots:
            self._told[slot] = random.getrandbits(64)


def slot(subject: bytes) -> int:
    """Return the slot of a subject, the same in all workers."""
    return zlib.crc32(subject) % SLOTS


def share(path: str) -> mmap.mmap:
    """Return the memory that the workers of a host share by a file's path, which is made if need be.

    The file should be on a tmpfs, such as `/run`: a disk would be written to. Raises OSError, above all PermissionError if it is somebody
    else's.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", path)
        os.posix_fallocate(descriptor, 0, BYTES)  # or a full disk would kill whoever writes
        return mmap.mmap(descriptor, BYTES)
    finally:
        os.close(descriptor)
