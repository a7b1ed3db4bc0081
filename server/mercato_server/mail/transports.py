"""Transports of mail: an SMTP server, or a directory."""

import asyncio
import os
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Protocol

import aiosmtplib

from mercato_server.config.mail_settings import MailSettings, SmtpServer
from mercato_server.domain.mails import Mail, ascii_address

PERMANENT = range(500, 600)
"""RFC 5321 section 4.2.1."""
QUIT_S = 1.0


class MailRefusedError(Exception):
    """The mail will never be accepted; the message is a short reason without the mail's content."""


class MailDelayedError(Exception):
    """The mail cannot be sent now; the message is a short reason without the mail's content."""


class Transport(Protocol):
    """A destination of mail. It may receive the same mail twice, with the same Message-ID."""

    async def send(self, mail: Mail, message: EmailMessage) -> None:
        """Send a mail; raises MailRefusedError or MailDelayedError."""


class Smtp:
    """A mail server that accepts outgoing mail (RFC 5321)."""

    def __init__(self, server: SmtpServer, sender: str, timeout_s: float) -> None:
        self._server = server
        self._sender = parseaddr(sender)[1]
        self._timeout_s = timeout_s
        self._quitting: set[asyncio.Task[None]] = set()

    async def send(self, mail: Mail, message: EmailMessage) -> None:
        """Send a mail; returns once the server has accepted it, and quits the connection in the background."""
        client = self._client()
        try:
            async with asyncio.timeout(self._timeout_s):  # for all commands together; the library limits only each one
                await client.connect()
                await client.send_message(message, sender=self._sender, recipients=[ascii_address(mail.address)])
        except BaseException as error:
            client.close()  # without QUIT, which would wait for a server that does not answer
            if (failure := _failure(error)) is None:
                raise
            raise failure from None
        quitting = asyncio.create_task(_quit(client))
        self._quitting.add(quitting)
        quitting.add_done_callback(self._quitting.discard)

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            timeout=self._timeout_s,
        )


class Directory:
    """A directory with one file per mail; a mail that is sent again replaces its file."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def send(self, mail: Mail, message: EmailMessage) -> None:
        """Write a mail."""
        try:
            await asyncio.to_thread(self._write, f"{mail.id}.eml", bytes(message))
        except OSError as error:
            raise MailDelayedError(_name(error)) from None

    def _write(self, name: str, content: bytes) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self._path / f".{name}.{os.getpid()}"
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        unfinished.rename(self._path / name)


def transport(settings: MailSettings, timeout_s: float) -> Transport:
    """Return the transport of the settings: the server if there is one, else the directory."""
    if settings.smtp is not None:
        return Smtp(settings.smtp, settings.sender, timeout_s)
    return Directory(settings.directory or "")


async def _quit(client: aiosmtplib.SMTP) -> None:
    try:
        await client.quit(timeout=QUIT_S)
    except (aiosmtplib.SMTPException, OSError):
        client.close()


def _failure(error: BaseException) -> MailRefusedError | MailDelayedError | None:
    """Translate an error of the SMTP library; None for other errors."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return _refusal([recipient.code for recipient in error.recipients], "the recipient")
        case aiosmtplib.SMTPDataError():
            return _refusal([error.code], "the message")
        case aiosmtplib.SMTPNotSupported():
            return MailRefusedError("the server does not accept addresses with characters beyond ASCII")
        case aiosmtplib.SMTPException() | OSError():  # also TimeoutError, and errors that an operator can correct
            return MailDelayedError(_name(error))
        case _:
            return None


def _refusal(codes: list[int], what: str) -> MailRefusedError | MailDelayedError:
    text = f"{what} was refused with {', '.join(map(str, codes))}"
    return MailRefusedError(text) if all(code in PERMANENT for code in codes) else MailDelayedError(text)


def _name(error: BaseException) -> str:
    """Return the kind and code of an error without its text, which may repeat an address or a password."""
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else getattr(error, "errno", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
