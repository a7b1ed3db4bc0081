"""The page of errors, docs/errors.md, from the registry of reasons."""

from collections.abc import Iterator
from pathlib import Path

from mercato.reasons import REASONS, Reason, RetryAdvice

PAGE = Path(__file__).parent.parent / "docs/errors.md"
HTTP_STATUSES = {
    "INVALID_ARGUMENT": "400",
    "FAILED_PRECONDITION": "400",
    "UNAUTHENTICATED": "401",
    "PERMISSION_DENIED": "403",
    "NOT_FOUND": "404",
    "ALREADY_EXISTS": "409",
    "ABORTED": "409, with `If-Match` 412",
    "RESOURCE_EXHAUSTED": "429",
    "DEADLINE_EXCEEDED": "504",
    "UNAVAILABLE": "503",
    "INTERNAL": "500",
    "UNIMPLEMENTED": "405",
}
"""The status over REST of each gRPC code, in the order of the page."""
OTHER_STATUSES = {"REQUEST_TOO_LARGE": "413", "HEADERS_TOO_LARGE": "431", "UNSUPPORTED_MEDIA_TYPE": "415", "UPGRADE_REFUSED": "403"}
"""Reasons of which HTTP has a status of its own."""
ADVICE = {
    RetryAdvice.NEVER: "No repetition helps.",
    RetryAdvice.AFTER_CHANGE: "Change the request, or the state of the shop, first.",
    RetryAdvice.AFTER_READ: "Read the newer state first, and send its etag or numbers.",
    RetryAdvice.AFTER_LOGIN: "Refresh the session, or log in, first.",
    RetryAdvice.AFTER_DELAY: (
        "The same request may succeed after the delay of the `google.rpc.RetryInfo` or of the header `retry-after`. Clients repeat reads "
        "by themselves, and calls with an idempotency key with the same key."
    ),
    RetryAdvice.LATER: "The same request may succeed at a time that the server does not know. Clients do not repeat it by themselves.",
    RetryAdvice.SAME_KEY: "The call may have been carried out. Repeat it with the same idempotency key.",
}
HEAD = """# Errors

`make proto` writes this page from [reasons.proto](../protos/mercato/v1/reasons.proto), the one list of the reasons of errors.
Server, edge, OpenAPI document and clients are generated from that list or checked against it.

Every error has a gRPC code, a message for people, and one `google.rpc.ErrorInfo` with a reason. A client branches on the
reason. Later releases may add reasons, so a client treats an unknown one by the code. [clients.md](clients.md#errors)
explains the format.

## Retries

"""
UNKNOWN = """
An error marked with † may come after the call was carried out, as an answer can be lost. A change is then repeated with its
first idempotency key, and acts at most once.

"""


def page() -> str:
    """Return the text of the page."""
    advice = "".join(f"| {each.name} | {text} |\n" for each, text in ADVICE.items())
    return HEAD + "| advice | meaning |\n|---|---|\n" + advice + UNKNOWN + "\n".join(_sections())


def _sections() -> Iterator[str]:
    for code, status in HTTP_STATUSES.items():
        reasons = [reason for reason in REASONS.values() if reason.code == code]
        rows = "".join(map(_row, sorted(reasons, key=lambda reason: reason.name)))
        yield f"## {code}\n\nHTTP status {status}.\n\n| reason | meaning | remedy | retry | detail |\n|---|---|---|---|---|\n{rows}"


def _row(reason: Reason) -> str:
    """Return the row of a reason; each has an anchor of its name in lower case."""
    name = f'<a id="{reason.name.lower()}"></a>`{reason.name}`' + (" †" if reason.outcome_unknown else "")
    meaning = reason.meaning + (" The edge can give it by itself." if reason.by_edge else "")
    if status := OTHER_STATUSES.get(reason.name):
        meaning += f" HTTP status {status}."
    detail = f"`{reason.detail}`" if reason.detail else ""
    return f"| {name} | {meaning} | {reason.remedy} | {reason.retry.name} | {detail} |\n"


def generated() -> dict[Path, str]:
    """Return the content of the page; raises ValueError if it would lack a reason."""
    if odd := {reason.code for reason in REASONS.values()} - HTTP_STATUSES.keys():
        raise ValueError(f"docs/errors.md has no section for the codes {odd}")
    return {PAGE: page()}
