"""The refusals of the double, in the shape of Stripe's errors, from which the SDK makes its exceptions."""

from typing import Any

Body = dict[str, Any]


class Refusal(Exception):
    """An answer with an error: https://docs.stripe.com/api/errors.

    `intent` and `charge` are the ids of the objects that the error names. The SDK chooses its exception by the status first, then by the
    type (stripe-python 16.1.0, `specific_v1_api_error`).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        intent: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind, self.code, self.param, self.intent = message, status, kind, code, param, intent

    def fields(self) -> Body:
        """Return the fields of the error that are set."""
        fields = {"message": self.message, "type": self.kind, "code": self.code, "param": self.param}
        return {name: value for name, value in fields.items() if value is not None}


class Declined(Refusal):
    """A payment that the issuer refused: 402, https://docs.stripe.com/declines."""

    def __init__(self, code: str, decline_code: str | None, *, intent: str, charge: str) -> None:
        super().__init__("Your card was declined.", status=402, kind="card_error", code=code, intent=intent)
        self.decline_code, self.charge = decline_code, charge

    def fields(self) -> Body:
        decline = {"decline_code": self.decline_code} if self.decline_code else {}
        return {**super().fields(), **decline, "charge": self.charge}


def missing(what: str, id_: str, param: str = "id") -> Refusal:
    """Return the refusal of an id that names nothing: 404, https://docs.stripe.com/error-codes (`resource_missing`)."""
    return Refusal(f"No such {what}: '{id_}'", status=404, code="resource_missing", param=param)


def unexpected_state(message: str, intent: str) -> Refusal:
    """Return the refusal of an act that the state of a payment intent forbids.

    The code is that of https://docs.stripe.com/error-codes, also for a second capture (stripe/stripe-php issue 818).
    """
    return Refusal(message, code="payment_intent_unexpected_state", intent=intent)
