"""The parameters of a request, nested as `metadata[order]=1` and `expand[0]=latest_charge`, and their validation.

Each refusal of a parameter comes before the execution of an endpoint begins, so no idempotency key stores it
(https://docs.stripe.com/api/idempotent_requests).
"""

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from support.stripe_double.refusals import Refusal

Values = dict[str, Any]
NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
KEYS_MAX, NAME_MAX, VALUE_MAX = 50, 40, 500
"""Limits of metadata: https://docs.stripe.com/api/metadata."""


def decode(form: str) -> Values:
    """Return the nested values of a form or a query; a list is a mapping whose names are its positions."""
    values: Values = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        match = NAME.fullmatch(name)
        if match is None:
            raise Refusal(f"Invalid parameter: {name}", param=name)
        place, path = values, [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise Refusal(f"Invalid parameter: {name}", param=name)
        place[path[-1] or str(len(place))] = value
    return values


class Parameters:
    """The values of a request; each is taken once, and `done` refuses the rest."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self.expand = self.texts("expand")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def done(self) -> None:
        """Refuse unknown parameters: `parameter_unknown`, https://docs.stripe.com/error-codes."""
        if self._values:
            name = min(self._values)
            raise Refusal(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)

    def text(self, name: str, choices: Collection[str] = ()) -> str | None:
        """Take a text; None if it is absent."""
        value = self._values.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, str) or (choices and value not in choices):
            raise Refusal(f"Invalid {name}: must be one of {', '.join(sorted(choices)) or 'the texts'}", param=name)
        if not value:
            raise Refusal(f"You passed an empty string for '{name}'.", code="parameter_invalid_empty", param=name)
        return value

    def integer(self, name: str) -> int | None:
        """Take an integer; None if it is absent."""
        value = self._values.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}", value):
            raise Refusal(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
        return int(value)

    def boolean(self, name: str) -> bool | None:
        """Take a truth value; None if it is absent."""
        value = self.text(name, ("true", "false"))
        return None if value is None else value == "true"

    def texts(self, name: str) -> list[str]:
        """Take a list of texts."""
        value = self._values.pop(name, {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise Refusal(f"Invalid array: {name}", param=name)
        return list(value.values())

    def mapping(self, name: str) -> "Parameters":
        """Take nested parameters."""
        value = self._values.pop(name, {})
        if not isinstance(value, dict):
            raise Refusal(f"Invalid hash: {name}", param=name)
        return Parameters(value)

    def metadata(self, before: Mapping[str, str] | None = None) -> dict[str, str]:
        """Take the metadata, merged into those of an object; an empty text removes its key: https://docs.stripe.com/api/metadata."""
        value = self._values.pop("metadata", {})
        if value == "":
            return {}
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise Refusal("Invalid hash: metadata", param="metadata")
        merged = {name: text for name, text in {**(before or {}), **value}.items() if text}
        if len(merged) > KEYS_MAX or any(len(name) > NAME_MAX or len(text) > VALUE_MAX for name, text in merged.items()):
            raise Refusal("The metadata has too many keys, or texts that are too long.", param="metadata")
        return merged

    def period(self) -> tuple[int, int]:
        """Take `created`, exact or with gt, gte, lt and lte; return the first and the last second."""
        if isinstance(self._values.get("created", {}), str):
            moment = self.integer("created") or 0
            return moment, moment
        bounds = self.mapping("created")
        gt, gte, lt, lte = (bounds.integer(name) for name in ("gt", "gte", "lt", "lte"))
        bounds.done()
        first = max(0 if gt is None else gt + 1, gte or 0)
        last = min(10**15 if lt is None else lt - 1, 10**15 if lte is None else lte)
        return first, last

    def required(self, name: str) -> None:
        """Refuse the request if a parameter is absent."""
        if name not in self._values:
            raise Refusal(f"Missing required param: {name}.", code="parameter_missing", param=name)
