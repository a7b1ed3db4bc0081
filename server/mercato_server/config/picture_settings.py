"""Settings of pictures: where their files are, and where clients find them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from mercato_server.config.environment import ConfigError, one_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSettings:
    """Where pictures are."""

    directory: Path | None = None
    """Absolute path of a directory that all workers share; None refuses uploads."""
    url: str = ""
    """Base of the URLs of renditions, without a slash at its end; empty for paths of the shop itself."""
    verifies: bool = True
    """Whether this worker decodes uploads, beside its calls. Another worker of the shop does it in any case."""
    keep_originals: bool = False
    """Whether uploaded files are kept, in a directory that is not served."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        return cls(
            directory=_directory(env.get("MERCATO_PICTURES_DIR", "")),
            url=_base(env.get("MERCATO_PICTURES_URL", "")),
            keep_originals=one_of(env, "MERCATO_PICTURES_KEEP_ORIGINALS", "off", ("on", "off")) == "on",
        )


def _directory(raw: str) -> Path | None:
    if not raw:
        return None
    if not raw.startswith("/"):
        raise ConfigError(f"MERCATO_PICTURES_DIR is {raw!r}; it must be an absolute path")
    return Path(raw)


def _base(raw: str) -> str:
    if not raw:
        return ""
    try:
        url = urlsplit(raw)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in {"http", "https"} or not url.netloc or url.query or url.fragment or len(raw) > 1_000:
        raise ConfigError(
            f"MERCATO_PICTURES_URL is {raw!r}; it must be an http or https URL without a query, such as https://cdn.example.com"
        )
    return raw.rstrip("/")
