"""How `mercato up` ran last on a data directory: what a backup must know of its settings, which another command may not have."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from mercato_server.config.picture_settings import PictureSettings
from mercato_server.config.settings import Hashing, optional_secret_key
from mercato_server.embedded import accounts
from mercato_server.embedded.processes import EmbeddedError

FILE = "launch.json"


@dataclass(frozen=True, slots=True)
class Launch:
    """Settings of a shop. The fingerprints are one-way digests of secrets, which are random and long, so that none can be guessed."""

    pepper_fingerprint: str
    """Empty if there is no pepper."""
    secret_key_fingerprint: str
    pictures: str
    """Directory of the pictures; empty if they are in a bucket."""

    @classmethod
    def of_environ(cls, env: Mapping[str, str], data_dir: Path) -> Self:
        """Return those of an environment, with what a data directory holds where a variable is unset; raises ConfigError."""
        path = data_dir / "secret_key"
        key = optional_secret_key(env) or (path.read_text().strip() if path.exists() else "")
        own = {"MERCATO_PICTURES_DIR": env.get("MERCATO_PICTURES_DIR") or str(data_dir.absolute() / "pictures")}
        pictures = PictureSettings.from_environ({**env, **own})
        return cls(
            pepper_fingerprint=fingerprint("pepper", Hashing.from_environ(env).pepper),
            secret_key_fingerprint=fingerprint("secret key", key),
            pictures="" if pictures.bucket else str(pictures.directory),
        )

    @classmethod
    def read(cls, data_dir: Path, env: Mapping[str, str]) -> Self:
        """Return those of the last `mercato up`; of the environment if no release has written them. Raises EmbeddedError, ConfigError."""
        try:
            return cls(**json.loads((data_dir / FILE).read_text()))
        except FileNotFoundError:
            return cls.of_environ(env, data_dir)
        except (TypeError, ValueError):
            raise EmbeddedError(f"{data_dir / FILE} is damaged; delete it, and start `mercato up`, which writes it again") from None

    def write(self, data_dir: Path) -> None:
        """Keep them in a data directory."""
        accounts.write_private(data_dir / FILE, json.dumps(asdict(self)).encode(), None)


def fingerprint(label: str, secret: str) -> str:
    """Return the fingerprint of a secret, empty for none."""
    return hmac.new(secret.encode(), f"mercato {label}".encode(), hashlib.sha256).hexdigest()[:32] if secret else ""
