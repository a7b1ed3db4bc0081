"""Secrets that must be random: at least 32 bytes, written in base64 or hexadecimal. Texts, patterns and sequences are refused."""

import base64
import itertools
import re
from collections.abc import Mapping, Sequence

from mercato_server.config.environment import ConfigError

BYTES_MIN = 32
"""RFC 7518 section 3.2: an HS256 key has at least the hash's 256 bits."""
MAKE = """make one with: openssl rand -base64 32, or: python3 -c "import secrets; print(secrets.token_hex(32))\""""
_VARIETY_MIN = 20
"""Least number of different bytes. Of 2**64 keys that are 32 random bytes none is expected to have fewer."""
_STEPS_MIN = 12
"""Least number of different steps from a byte, or a letter, to the next one. The same holds for it."""
_PRINTABLE = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\r\n")


def random_key(env: Mapping[str, str], name: str) -> str:
    """Return the random secret in a variable; raises ConfigError, which never shows the value, unless it is one."""
    text = env.get(name, "")
    if not text:
        raise ConfigError(f"{name} is not set; {MAKE}")
    key = _decoded(text)
    if key is None or len(key) < BYTES_MIN:
        raise ConfigError(f"{name} must be {BYTES_MIN} random bytes in base64 or hexadecimal; {MAKE}")
    if _is_guessable(text, key):
        raise ConfigError(f"{name} can be guessed, because its bytes are not random; {MAKE}")
    return text


def _decoded(text: str) -> bytes | None:
    """Return the bytes, or None. Hexadecimal digits alone are not taken for base64, in which they would hold too little."""
    if re.fullmatch(r"[0-9a-fA-F]+", text):
        return bytes.fromhex(text) if len(text) % 2 == 0 else None
    if not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}|[A-Za-z0-9_-]+={0,2}", text):
        return None
    letters = text.rstrip("=")
    if len(letters) % 4 == 1 or (letters != text and len(text) % 4):
        return None
    return base64.b64decode(letters + "=" * (-len(letters) % 4), b"-_" if re.search("[-_]", text) else None)


def _is_guessable(text: str, key: bytes) -> bool:
    """Tell whether a key is a text, a pattern or a sequence, which random bytes are in less than one of 2**30 cases."""
    is_hexadecimal = len(text) >= 2 * len(key)
    one_case = not is_hexadecimal and (text.upper() == text or text.lower() == text)  # a password in letters of base64
    is_text = set(key) <= _PRINTABLE
    repeats = any(key[length:] == key[:-length] for length in range(1, len(key) // 2 + 1))
    monotonous = len(set(key)) < _VARIETY_MIN or len(_steps(key)) < _STEPS_MIN or len(_steps(text.encode())) < _STEPS_MIN
    return one_case or is_text or repeats or monotonous or (not is_hexadecimal and len(set(text)) < _VARIETY_MIN)


def _steps(values: Sequence[int]) -> set[int]:
    return {(following - value) % 256 for value, following in itertools.pairwise(values)}
