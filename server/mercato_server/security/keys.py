"""Ed25519 keys that sign access tokens (RFC 8037): generate, seal for the database, publish."""

import base64
import hashlib
import hmac
import secrets

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mercato_server.domain.signing_keys import SealedKey


class WrongSecretError(Exception):
    """A key was sealed with another secret."""


def generate(secret: str) -> SealedKey:
    """Return a new key, sealed with the secret."""
    private = Ed25519PrivateKey.generate()
    return SealedKey(kid=secrets.token_hex(8), sealed=_box(secret).encrypt(private.private_bytes_raw()))


def unseal(key: SealedKey, secret: str) -> Ed25519PrivateKey:
    """Return the private key; raises WrongSecretError."""
    try:
        return Ed25519PrivateKey.from_private_bytes(_box(secret).decrypt(key.sealed))
    except InvalidToken:
        raise WrongSecretError(key.kid) from None


def coordinate(public: Ed25519PublicKey) -> str:
    """Return a public key as the `x` of a JSON Web Key."""
    return base64.urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=").decode()


def _box(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hmac.digest(secret.encode(), b"mercato signing keys", hashlib.sha256)))
