"""Settings of pictures: where their files are, and where clients find them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from mercato_server.config.environment import ConfigError, integer, matching, one_of, private_url

BUCKET = r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
"""A name with a dot would have no valid certificate at Amazon: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """A bucket of a server that speaks S3, and the key of an account that may use it."""

    url: str
    """Address of the bucket, without a slash at its end: `https://server/bucket`, or `https://bucket.s3.region.amazonaws.com`."""
    region: str = "us-east-1"
    """Signed with each request."""
    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def from_environ(cls, env: Mapping[str, str]) -> Self | None:
        """Read the settings, None without a bucket; raises ConfigError that names the first variable that is wrong."""
        if not env.get("MERCATO_PICTURES_S3_BUCKET"):
            return None
        wanted = "3 to 63 lower-case letters, digits and hyphens"
        bucket = matching(env, "MERCATO_PICTURES_S3_BUCKET", "", BUCKET, wanted)
        region = matching(env, "MERCATO_PICTURES_S3_REGION", "us-east-1", r"[a-z0-9-]{1,50}", "the name of a region, such as eu-central-1")
        endpoint = _endpoint(env.get("MERCATO_PICTURES_S3_ENDPOINT", ""))
        return cls(
            url=f"{endpoint}/{bucket}" if endpoint else f"https://{bucket}.s3.{region}.amazonaws.com",
            region=region,
            access_key_id=_key(env, "MERCATO_PICTURES_S3_ACCESS_KEY_ID"),
            secret_access_key=_key(env, "MERCATO_PICTURES_S3_SECRET_ACCESS_KEY"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSettings:
    """Where pictures are."""

    directory: Path | None = None
    """Absolute path of a directory that all workers share, or of one of this host where there is a bucket; None refuses uploads."""
    bucket: BucketSettings | None = None
    """Where the files are, instead of in the directory."""
    url: str = ""
    """Base of the URLs of renditions, without a slash at its end; empty for paths of the shop itself."""
    verifies: bool = True
    """Whether this worker decodes uploads, beside its calls. Another worker of the shop does it in any case."""
    keep_originals: bool = False
    """Whether uploaded files are kept, in a directory that is not served."""
    kept_days: int = 30
    """Days that the files of a picture stay which no product shows any more: a restored backup may show it."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        directory, bucket = _directory(env.get("MERCATO_PICTURES_DIR", "")), BucketSettings.from_environ(env)
        if bucket and not directory:
            raise ConfigError("MERCATO_PICTURES_S3_BUCKET needs MERCATO_PICTURES_DIR, a directory of this host for files under way")
        return cls(
            directory=directory,
            bucket=bucket,
            url=_base(env.get("MERCATO_PICTURES_URL", "")),
            keep_originals=one_of(env, "MERCATO_PICTURES_KEEP_ORIGINALS", "off", ("on", "off")) == "on",
            kept_days=integer(env, "MERCATO_PICTURES_KEPT_DAYS", 30, low=1, high=3_650),
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


def _endpoint(raw: str) -> str:
    """Return the address of a server without a slash at its end; empty for Amazon's.

    It has the form that clients send as `Host`, which is signed: RFC 3986 section 6.2.3 drops the port of the scheme.
    """
    if not raw:
        return ""
    url = urlsplit(private_url("MERCATO_PICTURES_S3_ENDPOINT", raw))
    if url.query or url.path.strip("/"):
        raise ConfigError("MERCATO_PICTURES_S3_ENDPOINT must have neither a path nor a query; the bucket has a variable of its own")
    own_port = ":443" if url.scheme == "https" else ":80"
    return f"{url.scheme}://{url.netloc.lower().removesuffix(own_port)}"


def _key(env: Mapping[str, str], name: str) -> str:
    """Return a part of the account's key; errors never show it."""
    value = env.get(name, "")
    if not re.fullmatch(r"[!-~]{3,200}", value):
        raise ConfigError(f"{name} must be set beside MERCATO_PICTURES_S3_BUCKET: 3 to 200 visible ASCII characters")
    return value
