"""Self-signed certificates."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from support.rest_client import HOST

ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate of this machine and its key, as PEM files."""

    path: Path
    key: Path

    @property
    def environ(self) -> dict[str, str]:
        """The settings with which a server uses it."""
        return {"MERCATO_TLS_CERT": str(self.path), "MERCATO_TLS_KEY": str(self.key)}


def certificate(directory: Path, name: str = "localhost", password: str = "") -> Certificate:
    """Make a certificate; with a password its key is encrypted."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - ONE_DAY, now + ONE_DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    made = Certificate(directory / f"{name}.crt", directory / f"{name}.key")
    made.path.write_bytes(signed.public_bytes(Encoding.PEM))
    encryption: KeySerializationEncryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return made
