"""Access tokens: JSON Web Tokens as RFC 9068 profiles them."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

import jwt

from mercato_server.domain.errors import TokenInvalid

ISSUER = "mercato"
AUDIENCE = "mercato"
TYPE = "at+jwt"
REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti"]
TOKEN_MAX_BYTES = 4_096
LIFETIME_MAX_S = 24 * 60 * 60
"""As the upper bound of ACCESS_TOKEN_EXPIRE_MINUTES."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Issues and verifies the tokens of one secret."""

    secret: str = field(repr=False)
    algorithm: str
    lifetime_s: int

    def issue(self, account_id: UUID, now: float) -> str:
        """Return a token of the account that holds for `lifetime_s` from `now` (seconds since 1970)."""
        issued = int(now)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(account_id),
            "iat": issued,
            "exp": issued + self.lifetime_s,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self.secret, self.algorithm, headers={"typ": TYPE})

    def verify(self, token: str) -> tuple[UUID, float]:
        """Return the account of a token and until when it holds (seconds since 1970); raises TokenInvalid if it does not hold now."""
        if len(token) > TOKEN_MAX_BYTES:
            raise TokenInvalid("the access token is too long to be one of ours")
        try:
            decoded = jwt.decode_complete(
                token,
                self.secret,
                algorithms=[self.algorithm],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": REQUIRED_CLAIMS, "strict_aud": True},
            )
            if decoded["header"].get("typ") != TYPE:
                raise TokenInvalid("the token is not an access token")
            if int(decoded["payload"]["exp"]) - int(decoded["payload"]["iat"]) > LIFETIME_MAX_S:
                raise TokenInvalid("the access token claims to hold longer than any token does")
            return UUID(decoded["payload"]["sub"]), float(decoded["payload"]["exp"])
        except jwt.ExpiredSignatureError:
            raise TokenInvalid("the access token has expired; log in again") from None
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
            raise TokenInvalid("the access token is not valid; log in to get one") from None
