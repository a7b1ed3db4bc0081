"""Rules for new passwords, and bcrypt with a pepper."""

import base64
import hashlib
import hmac

import bcrypt

PASSWORD_MIN_CHARACTERS = 8
"""NIST SP 800-63B section 5.1.1.2."""
PASSWORD_MAX_BYTES = 1_024

# The commonest passwords of eight or more characters in public breach statistics, lower case.
COMMON = frozenset(
    """
    00000000 11111111 12121212 12341234 123123123 12345678 123456789 1234567890 1234567891 12344321 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 55555555
    66666666 77777777 87654321 88888888 987654321 99999999 a1234567 a12345678 aa123456 aaaaaaaa abc12345 abcd1234 access14 admin123
    admin1234 administrator asdfasdf asdfghjk asdfghjkl babygirl baseball basketball butterfly changeme charlie1 chocolate computer
    corvette dragon12 football football1 iloveyou iloveyou1 internet jennifer jordan23 letmein1 liverpool lovelove master12 mercedes
    michelle midnight monkey12 p@ssw0rd pass1234 passw0rd password password! password1 password12 password123 princess princess1 q1w2e3r4
    q1w2e3r4t5 qazwsxedc qwer1234 qwerasdf qwerty12 qwerty123 qwertyui qwertyuiop qwertyuiop123 samantha secret12 security sunshine
    superman superstar test1234 testtest trustno1 victoria welcome1 welcome123 whatever zaq12wsx zxcvbnm1
    """.split()  # noqa: SIM905 - a hundred literals would read worse
)


def weakness(password: str) -> str | None:
    """Return why a new password is refused, or None."""
    if len(password) < PASSWORD_MIN_CHARACTERS:
        return f"must have at least {PASSWORD_MIN_CHARACTERS} characters"
    if len(password.encode()) > PASSWORD_MAX_BYTES:
        return f"must have at most {PASSWORD_MAX_BYTES} bytes"
    if password.lower() in COMMON:
        return "is one of the commonest passwords; choose another"
    return None


def hash_password(password: str, *, pepper: str, cost: int) -> str:
    """Return a bcrypt hash of the password; takes about 0.25 s of a core at cost 12."""
    return bcrypt.hashpw(digest(password, pepper).encode(), bcrypt.gensalt(cost)).decode()


def verify_password(password: str, hashed: str, *, pepper: str) -> bool:
    """Tell whether the hash is of this password, in the time of one hash."""
    return bcrypt.checkpw(digest(password, pepper).encode(), hashed.encode())


def unmatched_hash(cost: int) -> str:
    """Return a well-formed hash that no password matches. Verifying against it takes as long as against any other."""
    return bcrypt.gensalt(cost).decode() + "." * 31


def digest(password: str, pepper: str) -> str:
    """Return the input of bcrypt for a password. bcrypt reads at most 72 bytes and stops at NUL; this is shorter and has no NUL."""
    return base64.b64encode(hmac.digest(pepper.encode(), password.encode(), hashlib.sha256)).decode()
