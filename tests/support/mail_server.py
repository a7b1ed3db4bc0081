"""A real SMTP server that keeps the mails it accepts, and that a test can make refuse, stall and stop."""

import asyncio
import email
import email.policy
import re
import ssl
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from mercato_server.config.mail_settings import MailSettings, SmtpServer
from ports import free_port
from support.patience import until

HOST = "127.0.0.1"
SENDER = "Our Shop <shop@example.com>"
TOKEN = re.compile(r"mot_[\w-]{43}")
USER, PASSWORD = "shop", "p@ss:word/1"


class PostOffice:
    """The server; `taken` holds the mails in the order in which they came."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.taken: list[EmailMessage] = []
        self.answers: dict[str, str] = {}
        """Answers to recipients by address, instead of 250."""
        self.asked: list[str] = []
        """Every recipient that a client has named."""
        self.open = asyncio.Event()
        """While it is not set, mails are read but not answered."""
        self.open.set()
        self.port = free_port()
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._protocol, HOST, self.port, reuse_address=True)

    async def stop(self) -> None:
        """Stop listening; the port stays reserved."""
        self.open.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def settings(self, **fields: Any) -> MailSettings:
        """Return the settings of a shop that sends its mail to this server."""
        server = SmtpServer(host=HOST, port=self.port, security="none")
        return MailSettings(**{"smtp": server, "sender": SENDER, "per_second": 1000, **fields})

    async def until(self, count: int) -> list[EmailMessage]:
        """Return the mails once there are this many."""
        await until(lambda: len(self.taken) >= count, f"{count} mails are there")
        return self.taken

    async def mail(self, to: str, subject: str = "", nth: int = 1) -> EmailMessage:
        """Return the mail to an address whose subject contains a text, once it has arrived."""

        def found() -> list[EmailMessage]:
            return [each for each in self.taken if each["To"] == to and subject in each["Subject"]][nth - 1 :]

        return (await until(found, f"mail {nth} to {to} about {subject!r}"))[0]

    async def until_asked(self, address: str, times: int = 1) -> None:
        """Return once clients have named a recipient this many times."""
        await until(lambda: self.asked.count(address) >= times, f"{address} was named {times} times")

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        self.asked.append(address)
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        await self.open.wait()
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        return "250 OK"

    def _protocol(self) -> SMTP:
        if self._tls is None:
            return SMTP(self, hostname="post.example.com")
        return SMTP(
            self, hostname="post.example.com", tls_context=self._tls, require_starttls=True, auth_required=True, authenticator=_authenticate
        )


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=known)


def text(message: EmailMessage, kind: str = "plain") -> str:
    """Return the text of a mail."""
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def token(message: EmailMessage) -> str:
    """Return the token of a mail; text and HTML carry the same one."""
    [found] = {*TOKEN.findall(text(message)), *TOKEN.findall(text(message, "html"))}
    return str(found)
