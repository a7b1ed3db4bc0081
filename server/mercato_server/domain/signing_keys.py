"""A key that signs access tokens, as it is stored."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A private key that only the holder of SECRET_KEY can use."""

    kid: str
    sealed: bytes = field(repr=False)
