"""Settings of mail: the server that delivers it, or the directory that takes it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

from mercato_server.config.environment import LOOPBACK, ConfigError, integer

_SMTP_SCHEMES = {"smtp": ("none", 25), "smtp+starttls": ("starttls", 587), "smtps": ("tls", 465)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """The SMTP server that takes outgoing mail."""

    host: str
    port: int
    security: str
    """`none`, `starttls` or `tls`."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Destination and sender of mail. Without a server and a directory mails stay queued, and are dropped after a week."""

    smtp: SmtpServer | None = None
    directory: str | None = None
    """Directory that gets one file for each mail, instead of a server."""
    sender: str = "Mercato <no-reply@localhost>"
    public_url: str = ""
    """URL of the shop's pages, for links in mails. Without it a mail names the call to make instead."""
    per_second: int = 10
    """Most mails that a worker sends per second. Each takes about 6 ms of the core that also serves calls."""

    @property
    def delivers(self) -> bool:
        """Whether a server or a directory is set."""
        return self.smtp is not None or self.directory is not None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings; raises ConfigError that names the first variable that is wrong."""
        env = os.environ if environ is None else environ
        sender = env.get("MERCATO_MAIL_FROM", "Mercato <no-reply@localhost>")
        if not re.fullmatch(r"[^@<>\r\n]*<[^@<>\s]+@[^@<>\s]+>|[^@<>\s]+@[^@<>\s]+", sender):
            raise ConfigError(f"MERCATO_MAIL_FROM is {sender!r}; it must be an address, such as Our Shop <shop@example.com>")
        public_url = env.get("MERCATO_PUBLIC_URL", "").rstrip("/")
        if public_url and not re.fullmatch(r"https?://[^\s?#]+", public_url):
            raise ConfigError(f"MERCATO_PUBLIC_URL is {public_url!r}; it must be an http or https URL, such as https://shop.example.com")
        return cls(
            smtp=_smtp_server(env),
            directory=env.get("MERCATO_MAIL_DIR") or None,
            sender=sender,
            public_url=public_url,
            per_second=integer(env, "MERCATO_MAILS_PER_SECOND", 10, low=1, high=1_000),
        )


def _smtp_server(env: Mapping[str, str]) -> SmtpServer | None:
    """Read MERCATO_SMTP_URL; errors never show its value, because it may hold a password."""
    raw = env.get("MERCATO_SMTP_URL", "")
    if not raw:
        return None
    wanted = ConfigError(
        "MERCATO_SMTP_URL must be a URL such as smtp://host:25, smtps://user:password@host or smtp+starttls://user:password@host"
    )
    try:
        url = urlsplit(raw)
        port = url.port
    except ValueError:
        raise wanted from None
    if (
        url.scheme not in _SMTP_SCHEMES
        or not url.hostname
        or url.path not in ("", "/")
        or url.query
        or (url.username is None) != (url.password is None)
    ):
        raise wanted
    security, usual_port = _SMTP_SCHEMES[url.scheme]
    if url.password is not None and security == "none" and url.hostname not in LOOPBACK:
        raise ConfigError("MERCATO_SMTP_URL would send its password in the clear; use smtps:// or smtp+starttls://")
    return SmtpServer(
        host=url.hostname,
        port=port or usual_port,
        security=security,
        username=None if url.username is None else unquote(url.username),
        password=None if url.password is None else unquote(url.password),
    )
