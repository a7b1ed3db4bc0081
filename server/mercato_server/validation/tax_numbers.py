"""Validation of the numbers by which states know buyers."""

from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from mercato_server.domain.accounts import TAX_NUMBER_MAX
from mercato_server.domain.taxes import TaxTreatment
from mercato_server.validation.checks import Checks

_GREECE = {"GR": "EL"}
"""The prefix of Greek numbers is not the code of the country; the library takes both."""
_PREFIXES = {*map(str.upper, vat.MEMBER_STATES), *_GREECE.values()}


def tax_number(check: Checks, field: str, value: str, treatment: TaxTreatment) -> str:
    """Return the number of a buyer in the form that is stored: a VAT number without spaces, any other as it was written."""
    if treatment is TaxTreatment.REVERSE_CHARGE:
        return _vat_number(check, field, value)
    if treatment is TaxTreatment.EXEMPT:
        return check.code(field, value, shortest=1, longest=TAX_NUMBER_MAX)
    if value:
        check.fail(field, "must be empty for a buyer who is taxed normally")
    return ""


def _vat_number(check: Checks, field: str, value: str) -> str:
    """Return a VAT number of the European Union; its form and check digits are checked, and not whether it was given to anyone."""
    try:
        number = vat.validate(value) if len(value) <= TAX_NUMBER_MAX else ""
    except ValidationError:
        number = ""
    number = _GREECE.get(number[:2], number[:2]) + number[2:]
    if number[:2] not in _PREFIXES:  # also those of the one-stop shop, whose sellers tax consumers
        check.fail(field, "must be a VAT number of the European Union, such as DE136695976")
    return number
