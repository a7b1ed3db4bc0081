"""URLs that are signed for a bucket, against the example that AWS publishes."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from mercato_server.config.picture_settings import BucketSettings
from mercato_server.pictures.signing import signed

EXAMPLE = BucketSettings(
    url="https://examplebucket.s3.amazonaws.com",
    access_key_id="AKIAIOSFODNN7EXAMPLE",
    secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
)
"""The key that AWS uses in its documentation."""
AT = datetime(2013, 5, 24, tzinfo=UTC)


def test_the_example_of_aws_has_its_signature() -> None:
    """The page "Authenticating Requests: Using Query Parameters" of the API reference of S3 signs this GET for a day."""
    assert signed(EXAMPLE, "GET", "test.txt", AT, 86_400) == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_every_part_of_a_request_changes_the_signature() -> None:
    urls = {
        signed(EXAMPLE, "PUT", "a", AT, 60, {"content-length": "5"}),
        signed(EXAMPLE, "PUT", "a", AT, 60, {"content-length": "6"}),
        signed(EXAMPLE, "PUT", "b", AT, 60, {"content-length": "5"}),
        signed(EXAMPLE, "PUT", "a", AT, 61, {"content-length": "5"}),
        signed(EXAMPLE, "GET", "a", AT, 60, {"content-length": "5"}),
        signed(EXAMPLE, "PUT", "a", AT.replace(day=25), 60, {"content-length": "5"}),
        signed(EXAMPLE, "PUT", "a", AT, 60),
    }
    assert len({parse_qs(urlsplit(url).query)["X-Amz-Signature"][0] for url in urls}) == 7
