"""Signed URLs of S3, which let a client send one request to a bucket without its key.

The library of the bucket signs no headers; here the length of a file is bound too. The form is that of AWS Signature Version 4 with query
parameters:
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlsplit

from mercato_server.config.picture_settings import BucketSettings

ALGORITHM = "AWS4-HMAC-SHA256"


def signed(bucket: BucketSettings, method: str, key: str, at: datetime, lifetime_s: int, headers: Mapping[str, str] | None = None) -> str:
    """Return the URL for one method on one object, for `lifetime_s` seconds from `at`, which is in UTC.

    The request must have these headers with these values; their names are in lower case.
    """
    url = urlsplit(f"{bucket.url}/{key}")
    signed_headers = {"host": url.netloc, **(headers or {})}
    names = sorted(signed_headers)
    time, day = f"{at:%Y%m%dT%H%M%SZ}", f"{at:%Y%m%d}"
    scope = f"{day}/{bucket.region}/s3/aws4_request"
    parameters = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{bucket.access_key_id}/{scope}",
        "X-Amz-Date": time,
        "X-Amz-Expires": str(lifetime_s),
        "X-Amz-SignedHeaders": ";".join(names),
    }
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    lines = [method, quote(url.path), query, *(f"{name}:{signed_headers[name]}" for name in names), "", ";".join(names), "UNSIGNED-PAYLOAD"]
    to_sign = "\n".join([ALGORITHM, time, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    secret = f"AWS4{bucket.secret_access_key}".encode()
    for part in (day, bucket.region, "s3", "aws4_request", to_sign):
        secret = hmac.digest(secret, part.encode(), hashlib.sha256)
    return f"{bucket.url}/{key}?{query}&X-Amz-Signature={secret.hex()}"
