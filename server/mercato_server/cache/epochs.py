"""Epochs: numbers that change with each change of a product, in memory that the workers of a host share."""

import errno
import mmap
import os
import random
import zlib
from collections.abc import Iterable

SLOTS = 1 << 16
"""The number of slots. Subjects with one slot count as changed together: of 100,000 products, one shares its slot with one or two."""
LISTING, STOCK = SLOTS, SLOTS + 1
"""Two slots that belong to no single subject: the list of products with its order, and the stock of any product."""
BYTES = 8 * (SLOTS + 2)


class Epochs:
    """A number for each subject: as long as it is the same, no worker of this host has reported a change.

    A worker that changes a subject gives it a new number before it answers the call. The workers of a host share the numbers, so all of
    them have the change by then. A client that has received the answer reads the change at any worker of the host.

    The numbers are random, so writers need no lock. Concurrent writes cannot restore an earlier number, except with a probability of
    2 ** -64, and a half-written number equals no earlier one.
    """

    def __init__(self, shared: mmap.mmap | None = None) -> None:
        """Prepare; `shared` is the memory from `share`, or None for a single worker."""
        self._numbers = memoryview(shared if shared is not None else bytearray(BYTES)).cast("Q")

    def of(self, slot: int) -> int:
        """Return the number of a slot."""
        return self._numbers[slot]

    def renew(self, slots: Iterable[int]) -> None:
        """Give slots new numbers, in order. A worker calls it after the commit of a change, and before it answers the call."""
        for slot in slots:
            self._numbers[slot] = random.getrandbits(64)


def slot(subject: bytes) -> int:
    """Return the slot of a subject, the same in all workers."""
    return zlib.crc32(subject) % SLOTS


def share(path: str) -> mmap.mmap:
    """Return the memory that the workers of a host share through a file, which is created if it does not exist.

    The file should be on a tmpfs, for example in `/run`; on a disk, the kernel would write the changes to it. Raises OSError, for example
    PermissionError if the file belongs to another user, and FileExistsError if it is not one of epochs.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", path)
        if os.fstat(descriptor).st_size not in {0, BYTES}:  # a link in a shared directory may lead to any file of this user
            raise FileExistsError(errno.EEXIST, "is a file of something else", path)
        os.posix_fallocate(descriptor, 0, BYTES)  # reserve the space now: on a full disk, a later write would kill the worker
        return mmap.mmap(descriptor, BYTES)
    finally:
        os.close(descriptor)
