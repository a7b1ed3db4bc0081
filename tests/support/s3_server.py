"""A server of S3 for the tests: SeaweedFS, which checks the signatures of requests and of URLs, their times and signed lengths."""

import hashlib
import hmac
import itertools
import json
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from mercato_server.config.picture_settings import BucketSettings
from ports import free_ports
from support.patience import patient, until_sync

HOST = "127.0.0.1"
WEED = Path(sysconfig.get_path("scripts")) / "weed"
ACCESS_KEY, SECRET = "SHOP", "secret-of-the-tests"
_numbers = itertools.count(1)


async def put(url: str, content: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """PUT a file to a signed URL, as any client of HTTP does."""
    async with httpx.AsyncClient(timeout=patient()) as client:
        return await client.put(url, content=content, headers=headers)


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    url: str

    def bucket(self) -> BucketSettings:
        """Make a bucket that no other test uses."""
        url = f"{self.url}/pictures-{next(_numbers)}"
        until_sync(lambda: send_signed("PUT", url).is_success, "the server makes a bucket")
        return BucketSettings(url=url, access_key_id=ACCESS_KEY, secret_access_key=SECRET)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server for a block."""
    directory = Path(tempfile.mkdtemp(prefix="mercato-s3-"))
    first = free_ports(8)
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = range(first, first + 8)
    account = {"name": "shop", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (directory / "accounts.json").write_text(json.dumps({"identities": [account]}))
    command = [
        *(str(WEED), "server", f"-dir={directory}", f"-ip={HOST}", f"-ip.bind={HOST}", "-metricsPort=0", "-master.telemetry=false"),
        *(f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.volumeSizeLimitMB=64"),
        *(f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.max=200"),
        *(f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}"),
        *("-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", f"-s3.config={directory / 'accounts.json'}", "-s3.iam=false"),
        *("-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    ]
    try:
        with (directory / "log").open("wb") as log, subprocess.Popen(command, cwd=directory, stdout=log, stderr=log) as process:
            try:
                server = S3Server(f"http://{HOST}:{s3}")
                until_sync(lambda: _answers(server.url), "the server of S3 answers")
                yield server
            finally:
                process.kill()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        for port in range(first, first + 8):  # it makes sockets there that a kill leaves behind
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - its choice
                path.unlink(missing_ok=True)


def objects(bucket: BucketSettings) -> list[str]:
    """Return the keys of all objects of a bucket; the tests make fewer than the 1,000 of an answer."""
    listed = send_signed("GET", bucket.url, "list-type=2")
    assert listed.is_success, listed.text
    return re.findall("<Key>([^<]+)</Key>", listed.text)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.HTTPError:
        return False


def send_signed(method: str, url: str, query: str = "", content: bytes = b"", headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Send a request of the account, signed by headers: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    parts, now = urlsplit(url), datetime.now(UTC)
    time, scope = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}/us-east-1/s3/aws4_request"
    digest = hashlib.sha256(content).hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = (
        f"{method}\n{parts.path}\n{query}\nhost:{parts.netloc}\nx-amz-content-sha256:{digest}\nx-amz-date:{time}\n\n{names}\n{digest}"
    )
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    own = {"authorization": signature, "x-amz-date": time, "x-amz-content-sha256": digest, **(headers or {})}
    return httpx.request(method, f"{url}?{query}" if query else url, content=content, headers=own, timeout=patient())
