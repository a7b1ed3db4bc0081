"""The operations of the API: each validates its parameters, and returns the function that executes it.

Parameters that Stripe takes and the double does not model are refused as unknown ones are: README.md lists those that it knows.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from support.stripe_double import currencies, lists, methods, refunds
from support.stripe_double.account import Account
from support.stripe_double.events import Events
from support.stripe_double.objects import Charge, Intent, Refund, Thing
from support.stripe_double.parameters import Parameters
from support.stripe_double.refusals import Body, Refusal, missing
from support.stripe_double.rendering import BUYERS, Renderer, check_expandable

Execution = Callable[[], Body]
Operation = Callable[[Parameters, str], Execution]

CAPTURE_METHODS = ("automatic", "automatic_async", "manual")
CANCELLATIONS = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
REASONS = ("duplicate", "fraudulent", "requested_by_customer")
ROUTES = {
    ("POST", "payment_intents"): "payment_intents.create",
    ("GET", "payment_intents"): "payment_intents.list",
    ("GET", "payment_intents/*"): "payment_intents.retrieve",
    ("POST", "payment_intents/*"): "payment_intents.update",
    ("POST", "payment_intents/*/confirm"): "payment_intents.confirm",
    ("POST", "payment_intents/*/capture"): "payment_intents.capture",
    ("POST", "payment_intents/*/cancel"): "payment_intents.cancel",
    ("GET", "charges/*"): "charges.retrieve",
    ("GET", "balance_transactions/*"): "balance_transactions.retrieve",
    ("POST", "refunds"): "refunds.create",
    ("GET", "refunds"): "refunds.list",
    ("GET", "refunds/*"): "refunds.retrieve",
    ("POST", "refunds/*"): "refunds.update",
    ("POST", "refunds/*/cancel"): "refunds.cancel",
    ("GET", "disputes"): "disputes.list",
    ("GET", "disputes/*"): "disputes.retrieve",
    ("GET", "events"): "events.list",
    ("GET", "events/*"): "events.retrieve",
}
"""Operations by method and path below /v1; `*` is an id."""
BUYERS_OPERATIONS = ("payment_intents.retrieve", "payment_intents.confirm")
"""Operations that a publishable key may use, with the intent's client secret (stripe-python 16.1.0, `PaymentIntent.client_secret`)."""


def route(method: str, path: str) -> tuple[str, str]:
    """Return the operation of a request, and the id that its path names."""
    parts = path.removeprefix("/v1/").split("/")
    pattern = "/".join("*" if number == 1 else part for number, part in enumerate(parts))
    operation = ROUTES.get((method, pattern)) if path.startswith("/v1/") else None
    if operation is None:
        raise Refusal(f"Unrecognized request URL ({method}: {path}).", status=404)
    return operation, parts[1] if len(parts) > 1 else ""


class Operations:
    """All operations by their names."""

    def __init__(self, account: Account, events: Events, renderer: Renderer) -> None:
        self._account, self._events, self._renderer = account, events, renderer
        self._operations: dict[str, Operation] = {
            "payment_intents.create": self._create,
            "payment_intents.list": self._list_of("payment_intents", account.intents),
            "payment_intents.retrieve": self._retrieve_of("payment_intent"),
            "payment_intents.update": self._update,
            "payment_intents.confirm": self._confirm,
            "payment_intents.capture": self._capture,
            "payment_intents.cancel": self._cancel,
            "charges.retrieve": self._retrieve_of("charge"),
            "balance_transactions.retrieve": self._retrieve_of("balance_transaction"),
            "refunds.create": self._refund,
            "refunds.list": self._list_of("refunds", account.refunds, "payment_intent", "charge"),
            "refunds.retrieve": self._retrieve_of("refund"),
            "refunds.update": self._update_refund,
            "refunds.cancel": self._cancel_refund,
            "disputes.list": self._list_of("disputes", account.disputes, "payment_intent", "charge"),
            "disputes.retrieve": self._retrieve_of("dispute"),
            "events.list": self._list_events,
            "events.retrieve": self._retrieve_event,
        }

    def prepare(self, operation: str, params: Parameters, id_: str) -> Execution:
        """Validate the parameters of an operation; return its execution."""
        resource, verb = operation.split(".")
        check_expandable(resource.removesuffix("s"), _below_data(params.expand) if verb == "list" else params.expand)
        return self._operations[operation](params, id_)

    def prepare_for_buyer(self, operation: str, params: Parameters, id_: str) -> Execution:
        """Do as `prepare` for the holder of an intent's client secret, who sees some of its fields."""
        if operation not in BUYERS_OPERATIONS:
            raise Refusal("This API call cannot be made with a publishable API key.", status=401, code="secret_key_required")
        secret = params.text("client_secret")
        intent: Intent = self._account.find("payment_intent", id_)
        if secret != intent.client_secret:
            raise Refusal("The client_secret provided does not match the client_secret of this PaymentIntent.", param="client_secret")
        execute = self.prepare(operation, params, id_)

        def act() -> Body:
            body = execute()
            return {name: body[name] for name in BUYERS}

        return act

    # Reading.

    def _retrieve_of(self, kind: str) -> Operation:
        def prepare(params: Parameters, id_: str) -> Execution:
            params.done()
            return lambda: self._renderer.full(self._account.find(kind, id_), params.expand)

        return prepare

    def _list_of(self, name: str, things: Mapping[str, Any], *filters: str) -> Operation:
        def prepare(params: Parameters, _id: str) -> Execution:
            wanted = {each: params.text(each) for each in filters if each in params}
            attributes = {"payment_intent": "intent", "charge": "charge"}

            def found() -> Iterable[Thing]:
                return (
                    things.values()
                    if not wanted
                    else [one for one in things.values() if all(getattr(one, attributes[each]) == id_ for each, id_ in wanted.items())]
                )

            read = lists.page(params, found, things.get, lists.of_object, f"/v1/{name}")
            params.done()

            def execute() -> Body:
                body, chosen = read()
                return {**body, "data": [self._renderer.full(each, _below_data(params.expand)) for each in chosen]}

            return execute

        return prepare

    def _list_events(self, params: Parameters, _id: str) -> Execution:
        kinds = params.texts("types")
        if kind := params.text("type"):
            kinds.append(kind)
        delivered = params.boolean("delivery_success")

        def found() -> list[Body]:
            chosen = [each for each in self._events.kept() if not kinds or each["type"] in kinds]
            return [each for each in chosen if delivered is None or delivered == (each["pending_webhooks"] == 0)]

        read = lists.page(params, found, self._events.find, lambda event: (event["id"], event["created"]), "/v1/events")
        params.done()

        def execute() -> Body:
            body, chosen = read()
            return {**body, "data": chosen}

        return execute

    def _retrieve_event(self, params: Parameters, id_: str) -> Execution:
        params.done()

        def execute() -> Body:
            found = self._events.find(id_)
            if found is None:
                raise missing("event", id_)
            return found

        return execute

    # Payment intents.

    def _create(self, params: Parameters, _id: str) -> Execution:
        params.required("amount")
        params.required("currency")
        confirm = params.boolean("confirm")
        if confirm:
            params.required("payment_method")
        amount, currency = params.integer("amount") or 0, params.text("currency") or ""
        capture_method = params.text("capture_method", CAPTURE_METHODS) or "automatic_async"  # the default
        fields = {
            "payment_method": params.text("payment_method"),
            "metadata": params.metadata(),
            "description": params.text("description"),
            "return_url": params.text("return_url"),
            "off_session": params.boolean("off_session") or False,
        }
        _take_methods(params)
        params.done()
        currencies.check_charge(amount, currency)
        if fields["payment_method"]:
            methods.find(str(fields["payment_method"]))

        def execute() -> Body:
            intent = self._account.create(amount, currency, capture_method, **fields)
            if confirm:
                self._account.confirm(intent)
            return self._renderer.full(intent, params.expand)

        return execute

    def _update(self, params: Parameters, id_: str) -> Execution:
        intent: Intent = self._account.find("payment_intent", id_)
        changes: dict[str, Any] = {}
        if "metadata" in params:
            changes["metadata"] = params.metadata(intent.metadata)
        if "amount" in params:
            changes["amount"] = params.integer("amount")
        for name in ("currency", "description", "payment_method"):
            if name in params:
                changes[name] = params.text(name)
        params.done()
        if "payment_method" in changes:
            methods.find(changes["payment_method"])

        def execute() -> Body:
            self._account.update(intent, changes)
            return self._renderer.full(intent, params.expand)

        return execute

    def _confirm(self, params: Parameters, id_: str) -> Execution:
        intent: Intent = self._account.find("payment_intent", id_)
        method, return_url, off_session = params.text("payment_method"), params.text("return_url"), params.boolean("off_session")
        params.done()
        if method:
            methods.find(method)

        def execute() -> Body:
            intent.return_url = return_url or intent.return_url
            intent.off_session = intent.off_session if off_session is None else off_session
            self._account.confirm(intent, method)
            return self._renderer.full(intent, params.expand)

        return execute

    def _capture(self, params: Parameters, id_: str) -> Execution:
        intent: Intent = self._account.find("payment_intent", id_)
        amount, final = params.integer("amount_to_capture"), params.boolean("final_capture")
        changes = {"metadata": params.metadata(intent.metadata)} if "metadata" in params else {}
        params.done()
        if final is False:  # several captures need special pricing: https://docs.stripe.com/payments/multicapture
            raise Refusal("This account cannot capture a payment more than once.", param="final_capture", intent=intent.id)

        def execute() -> Body:
            self._account.capture(intent, amount)
            intent.metadata = changes.get("metadata", intent.metadata)
            return self._renderer.full(intent, params.expand)

        return execute

    def _cancel(self, params: Parameters, id_: str) -> Execution:
        intent: Intent = self._account.find("payment_intent", id_)
        reason = params.text("cancellation_reason", CANCELLATIONS)
        params.done()

        def execute() -> Body:
            self._account.cancel(intent, reason)
            return self._renderer.full(intent, params.expand)

        return execute

    # Refunds.

    def _refund(self, params: Parameters, _id: str) -> Execution:
        amount, reason, metadata = params.integer("amount"), params.text("reason", REASONS), params.metadata()
        intent_id, charge_id = params.text("payment_intent"), params.text("charge")
        params.done()
        if (intent_id is None) == (charge_id is None):
            raise Refusal("You must provide either a charge or a payment_intent.", code="parameter_missing", param="payment_intent")

        def execute() -> Body:
            charge = self._charge_of(intent_id) if intent_id else self._account.find("charge", charge_id or "", "charge")
            return self._renderer.full(refunds.create(self._account, charge, amount, reason, metadata), params.expand)

        return execute

    def _charge_of(self, intent_id: str) -> Charge:
        intent: Intent = self._account.find("payment_intent", intent_id, "payment_intent")
        charge = self._account.charges.get(intent.latest_charge or "")
        if charge is None:
            raise Refusal("This PaymentIntent does not have a successful charge to refund.", code="charge_not_refundable", intent=intent.id)
        return charge

    def _update_refund(self, params: Parameters, id_: str) -> Execution:
        refund: Refund = self._account.find("refund", id_)
        metadata = params.metadata(refund.metadata)
        params.done()

        def execute() -> Body:
            refund.metadata = metadata
            self._account.emit("refund.updated", refund)
            return self._renderer.full(refund, params.expand)

        return execute

    def _cancel_refund(self, params: Parameters, id_: str) -> Execution:
        refund: Refund = self._account.find("refund", id_)
        params.done()

        def execute() -> Body:
            refunds.cancel(self._account, refund)
            return self._renderer.full(refund, params.expand)

        return execute

    # Errors.

    def error(self, refusal: Refusal) -> Body:
        """Return the body of an error, with the payment intent that it concerns: https://docs.stripe.com/api/errors."""
        fields = refusal.fields()
        if refusal.intent:
            fields["payment_intent"] = self._renderer.plain(self._account.intents[refusal.intent])
        return {"error": fields}


def _take_methods(params: Parameters) -> None:
    """Take the choice of payment methods, which changes nothing: the buyer's acts choose."""
    automatic = params.mapping("automatic_payment_methods")
    automatic.boolean("enabled")
    automatic.text("allow_redirects", ("always", "never"))
    automatic.done()


def _below_data(expand: Iterable[str]) -> list[str]:
    """Return the paths below the items of a list: "expand[]=data.latest_charge"."""
    paths = list(expand)
    if any(not path.startswith("data.") for path in paths):
        raise Refusal("This property cannot be expanded in a list without 'data.'.", param="expand")
    return [path.removeprefix("data.") for path in paths]
