"""The page at which a buyer confirms a payment with the bank, for browsers and for `curl`; real banks have their own."""

from urllib.parse import parse_qs

from support.stripe_double.account import Account
from support.stripe_double.refusals import Refusal
from support.stripe_double.wire import Request, Response

PATH = "/double/authenticate/"
FORM = """<!doctype html>
<title>Play money</title>
<p>This is no bank: a double of Stripe asks whether the payment {intent} goes on.</p>
<form method="post"><button name="outcome" value="succeed">Confirm</button> <button name="outcome" value="fail">Refuse</button></form>
"""


def answer(request: Request, account: Account) -> Response:
    """Show the page, or take its answer: `outcome=succeed` or `outcome=fail`."""
    intent = account.intents.get(request.path.removeprefix(PATH))
    if intent is None or parse_qs(request.query).get("client_secret") != [intent.client_secret]:
        return _text(404, "No such payment.\n")
    if request.method == "GET":
        return Response(200, FORM.format(intent=intent.id).encode(), {"content-type": "text/html; charset=utf-8"})
    outcome = parse_qs(request.body.decode()).get("outcome")
    if request.method != "POST" or outcome not in (["succeed"], ["fail"]):
        return _text(400, "The outcome must be succeed or fail.\n")
    try:
        account.authenticate(intent, succeeds=outcome == ["succeed"])
    except Refusal as refusal:
        return _text(409, f"{refusal.message}\n")
    if intent.return_url:
        return Response(303, b"", {"location": f"{intent.return_url}?payment_intent={intent.id}"})
    return _text(200, f"The payment is now {intent.status}.\n")


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode(), {"content-type": "text/plain; charset=utf-8"})
