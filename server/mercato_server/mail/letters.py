"""The text and HTML of mails, rendered from templates."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from mercato_server.config.mail_settings import MailSettings
from mercato_server.domain.mails import TOKEN_LIFETIMES_S, Mail, Recipient, Template, ascii_address
from mercato_server.domain.money import amount
from mercato_server.domain.orders import Order
from mercato_server.domain.postal_addresses import formatted
from mercato_server.security.order_links import OrderLinks

SUBJECTS = {
    Template.VERIFY_EMAIL: "Please confirm your e-mail address",
    Template.RESET_PASSWORD: "Set a new password",
    Template.ORDER_PLACED: "Your order {order}",
    Template.ORDER_CANCELLED: "Your order {order} was cancelled",
}
PAGES = {Template.VERIFY_EMAIL: "verify-email", Template.RESET_PASSWORD: "reset-password"}


class Letters:
    """Writes mails. A mail that is written again has the same content and Message-ID, so mail programs can recognise duplicates."""

    def __init__(self, settings: MailSettings, links: OrderLinks) -> None:
        self._links = links
        self._settings = settings
        self._shop, sender = parseaddr(settings.sender)
        self._domain = sender.rpartition("@")[2]
        self._templates = Environment(
            loader=PackageLoader("mercato_server.mail"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["amount"] = amount
        self._templates.filters["lines"] = formatted

    def with_token(self, mail: Mail, full_name: str, token: str) -> EmailMessage:
        """Write a mail with a one-time token."""
        link = f"{self._settings.public_url}/{PAGES[mail.template]}?token={token}" if self._settings.public_url else ""
        hours = TOKEN_LIFETIMES_S[mail.template] // 3600
        return self._write(mail, SUBJECTS[mail.template], full_name=full_name, token=token, link=link, hours=hours)

    def of_order(self, mail: Mail, recipient: Recipient, order: Order) -> EmailMessage:
        """Write a mail about an order, with the link that shows it to anyone who has the mail.

        The contact address of a guest that is not proven gets no postal address: the guest may write any text there for a stranger.
        """
        token = self._links.of(order.id) if order.id else ""
        link = f"{self._settings.public_url}/orders/{order.id}?token={token}" if self._settings.public_url else ""
        path = f"/v1/orders/{order.id}:linked?token={token}"
        reference = order.number or order.id
        content = {
            "full_name": recipient.full_name,
            "is_stranger": recipient.is_stranger,
            "order": order,
            "reference": reference,
            "link": link,
            "path": path,
        }
        return self._write(mail, SUBJECTS[mail.template].format(order=reference), **content)

    def _write(self, mail: Mail, subject: str, **content: Any) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.sender
        user, _, domain = ascii_address(mail.address).rpartition("@")
        message["To"] = Address(username=user, domain=domain)
        message["Subject"] = subject
        message["Date"] = format_datetime(datetime.fromtimestamp(int(mail.created_at), UTC))
        message["Message-ID"] = f"<{mail.id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # automatic responders must not answer (RFC 3834)
        content = {"shop": self._shop, "subject": subject, **content}
        message.set_content(self._templates.get_template(f"{mail.template}.txt").render(content))
        message.add_alternative(self._templates.get_template(f"{mail.template}.html").render(content), subtype="html")
        return message
