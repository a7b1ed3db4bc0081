"""Access tokens: JSON Web Tokens as RFC 9068 profiles them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mercato_server.domain.errors import TokenInvalid

ISSUER = "mercato"
AUDIENCE = "mercato"
TYPE = "at+jwt"
REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "sid", "jti"]
HEADERS = frozenset({"alg", "typ", "kid"})
"""Fields of our own headers. A token with `jwk`, `jku`, `x5u` or `crit` tries to choose its key, and is refused."""
TOKEN_MAX_BYTES = 4_096
LIFETIME_MAX_S = 24 * 60 * 60
"""The upper bound of ACCESS_TOKEN_EXPIRE_MINUTES."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The claims of a token: account, session, and expiry in seconds since 1970."""

    account_id: UUID
    session_id: UUID
    expires_at: float


@dataclass(frozen=True, slots=True)
class Keyring:
    """The signing key, and the verifying keys by id (`kid`); a shared secret has no id."""

    algorithm: str
    kid: str | None
    signing: Ed25519PrivateKey | str = field(repr=False)
    verifying: Mapping[str | None, Ed25519PublicKey | str] = field(repr=False)

    @classmethod
    def shared(cls, secret: str, algorithm: str) -> "Keyring":
        """Return the keyring of one shared secret (HS256, HS384 or HS512)."""
        return cls(algorithm, None, secret, {None: secret})


class Tokens:
    """Issues and verifies access tokens; its keyring can be replaced."""

    def __init__(self, keyring: Keyring, lifetime_s: int) -> None:
        self.keyring = keyring
        self.lifetime_s = lifetime_s

    def issue(self, account_id: UUID, session_id: UUID) -> str:
        """Return a token of a session, valid for `lifetime_s` from now."""
        issued = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(account_id),
            "sid": str(session_id),
            "iat": issued,
            "exp": issued + self.lifetime_s,
            "jti": uuid4().hex,
        }
        headers = {"typ": TYPE} | ({"kid": self.keyring.kid} if self.keyring.kid else {})
        return jwt.encode(claims, self.keyring.signing, self.keyring.algorithm, headers=headers)

    def verify(self, token: str) -> Identity:
        """Return the claims of a token; raises TokenInvalid if it is not valid now."""
        if len(token) > TOKEN_MAX_BYTES:
            raise TokenInvalid("the access token is too long to be one of ours")
        try:
            header = jwt.get_unverified_header(token)
            key = self.keyring.verifying.get(header.get("kid"))
            if header.get("typ") != TYPE or not header.keys() <= HEADERS or key is None:
                raise TokenInvalid("the access token is not one of ours; log in to get one")
            claims = jwt.decode(
                token,
                key,
                algorithms=[self.keyring.algorithm],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": REQUIRED_CLAIMS, "strict_aud": True},
            )
            if int(claims["exp"]) - int(claims["iat"]) > LIFETIME_MAX_S:
                raise TokenInvalid("the access token claims to hold longer than any token does")
            return Identity(UUID(claims["sub"]), UUID(claims["sid"]), float(claims["exp"]))
        except jwt.ExpiredSignatureError:
            raise TokenInvalid("the access token has expired; refresh it or log in again", security_event="TOKEN_EXPIRED") from None
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, AttributeError):
            raise TokenInvalid("the access token is not valid; log in to get one") from None
