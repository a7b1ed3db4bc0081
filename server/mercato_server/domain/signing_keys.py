"""The stored form of a key that signs access tokens."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SealedKey:
    """An encrypted private key; only a process that has SECRET_KEY can use it."""

    kid: str
    sealed: bytes = field(repr=False)
