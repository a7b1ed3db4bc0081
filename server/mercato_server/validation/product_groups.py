"""Validation of groups of products and of the options of their variants."""

from collections.abc import Collection, Sequence

from mercato_server.domain.product_groups import (
    GROUP_CODE_MAX,
    GROUP_NAME_MAX,
    OPTION_NAME_MAX,
    OPTION_NAMES_MAX,
    OPTION_VALUE_MAX,
    OPTIONS_TEXT_MAX,
    GroupDraft,
    Option,
    Options,
    fold,
    text,
    written,
)
from mercato_server.validation.checks import Checks
from mercato_server.validation.drafts import slug


def options(check: Checks, field: str, given: Sequence[Option]) -> Options:
    """Return the options of a variant in the form that is stored; whether they are those of its group is not checked here."""
    if len(given) > OPTION_NAMES_MAX:
        check.fail(field, "must have at most {most} entries", most=OPTION_NAMES_MAX)
        return ()
    names = [_name(check, f"{field}[{index}].name", name) for index, (name, _) in enumerate(given)]
    values = [
        written(check.line(f"{field}[{index}].value", value, shortest=1, longest=OPTION_VALUE_MAX))
        for index, (_, value) in enumerate(given)
    ]
    _different(check, field, names)
    found = tuple(map(Option, names, values))
    if len(text(found)) > OPTIONS_TEXT_MAX:
        check.fail(field, "must have at most {longest} characters together", longest=OPTIONS_TEXT_MAX)
    return found


def draft(check: Checks, prefix: str, wanted: GroupDraft, fields: Collection[str]) -> GroupDraft:
    """Return a group in the form that is stored, with those of its fields that are named; violations name `prefix` and field."""
    return GroupDraft(
        name=check.line(f"{prefix}name", wanted.name, shortest=1, longest=GROUP_NAME_MAX) if "name" in fields else "",
        code=check.code(f"{prefix}code", wanted.code or "", longest=GROUP_CODE_MAX) or None,
        varies_by=_varies_by(check, f"{prefix}varies_by", wanted.varies_by) if "varies_by" in fields else (),
        slug=slug(check, f"{prefix}slug", wanted.slug or ""),
    )


def _varies_by(check: Checks, field: str, given: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(given) <= OPTION_NAMES_MAX:
        check.fail(field, "must have 1 to {most} entries", most=OPTION_NAMES_MAX)
        return ()
    names = tuple(_name(check, f"{field}[{index}]", name) for index, name in enumerate(given))
    _different(check, field, names)
    return names


def _name(check: Checks, field: str, name: str) -> str:
    return written(check.line(field, name, shortest=1, longest=OPTION_NAME_MAX))


def _different(check: Checks, field: str, names: Sequence[str]) -> None:
    if len(set(map(fold, names))) < len(names):
        check.fail(field, "must have different names; case makes no difference")
