"""Formats of amounts and addresses in mail, and the settings of mail."""

import pytest

from mercato_server.config.environment import ConfigError
from mercato_server.config.mail_settings import MailSettings, SmtpServer
from mercato_server.domain.mails import ascii_address
from mercato_server.domain.money import amount


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "USD", "0.00 USD"),
        (5, "EUR", "0.05 EUR"),
        (123456789, "USD", "1,234,567.89 USD"),
        (1500, "JPY", "1,500 JPY"),
        (1500, "KWD", "1.500 KWD"),
        (12345, "CLF", "1.2345 CLF"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(minor: int, currency: str, text: str) -> None:
    assert amount(minor, currency) == text


def test_the_domain_of_an_address_is_sent_in_punycode() -> None:
    assert ascii_address("jo@müller.example.com") == "jo@xn--mller-kva.example.com"
    assert ascii_address("jö@example.com") == "jö@example.com"
    assert ascii_address("nonsense") == "nonsense"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", SmtpServer(host="mail", port=25, security="none")),
        ("smtp://[::1]:1025/", SmtpServer(host="::1", port=1025, security="none")),
        ("smtp://a:b@localhost", SmtpServer(host="localhost", port=25, security="none", username="a", password="b")),
        ("smtps://a%40b:p%3A%2F@mail", SmtpServer(host="mail", port=465, security="tls", username="a@b", password="p:/")),
        ("smtp+starttls://a:b@mail:2525", SmtpServer(host="mail", port=2525, security="starttls", username="a", password="b")),
    ],
)
def test_the_url_of_a_server_says_all_that_is_needed(url: str, server: SmtpServer) -> None:
    settings = MailSettings.from_environ({"MERCATO_SMTP_URL": url})
    assert settings.smtp == server
    assert settings.delivers
    assert "p:/" not in repr(settings)


@pytest.mark.parametrize(
    "environ",
    [
        *(
            {"MERCATO_SMTP_URL": url}
            for url in ("mail", "http://mail", "smtp://", "smtp://mail:x", "smtp://secret@mail", "smtps://a:secret@mail/x")
        ),
        {"MERCATO_SMTP_URL": "smtp://a:secret@mail"},
        *({"MERCATO_MAIL_FROM": sender} for sender in ("", "shop", "a@b, c@d", "Shop\r\nBcc: x <a@b>", "<a@b> x")),
        *({"MERCATO_PUBLIC_URL": url} for url in ("shop.example.com", "ftp://x", "https://x?y=1")),
        {"MERCATO_MAILS_PER_SECOND": "0"},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_without_showing_a_password(environ: dict[str, str]) -> None:
    [name] = environ
    with pytest.raises(ConfigError, match=name) as caught:
        MailSettings.from_environ(environ)
    assert "secret" not in str(caught.value)


def test_without_settings_mail_goes_nowhere() -> None:
    assert not MailSettings.from_environ({}).delivers
