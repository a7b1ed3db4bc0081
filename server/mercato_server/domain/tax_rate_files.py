"""The changes that a file of tax rates makes to the live rates of a shop."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.refused_lines import Refused
from mercato_server.domain.tax_rates import RateDraft

_ALWAYS, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Key = tuple[tuple[str, str, str], datetime | None]
"""Place and beginning of a rate. Live rates of one place never begin together, since they would overlap."""


class Incoming(NamedTuple):
    """A rate of a file, and its line."""

    line: int
    draft: RateDraft

    @property
    def key(self) -> Key:
        """Its place and its beginning, which identify it."""
        return self.draft.place, self.draft.valid_from


class Plan(NamedTuple):
    """The rates to write, and the lines that cannot be; nothing is written if there are any."""

    created: list[RateDraft]
    updated: dict[UUID, RateDraft]
    refused: list[Refused]


class _Span(NamedTuple):
    """A rate that will be live; `line` is that of the file, or None for a rate that the file does not name."""

    draft: RateDraft
    line: int | None
    text: str
    """The rate as the reason of another one has it."""

    @property
    def begins(self) -> datetime:
        return self.draft.valid_from or _ALWAYS

    @property
    def ends(self) -> datetime:
        return self.draft.valid_until or _NEVER


def plan(live: Mapping[UUID, RateDraft], categories: Mapping[str, bool], incoming: Sequence[Incoming], fields: Collection[str]) -> Plan:
    """Return the changes by which the live rates agree with a file. A rate of the file is that of the same place and beginning.

    Args:
        live: the live rates by id.
        categories: the ids of tax categories, and whether each can be used.
        incoming: the rates of the file, with different keys.
        fields: the fields that the file has, of those that can change; the others of a live rate stay.
    """
    known = {(draft.place, draft.valid_from): rate_id for rate_id, draft in live.items()}
    created: list[RateDraft] = []
    updated: dict[UUID, RateDraft] = {}
    refused: list[Refused] = []
    spans: list[_Span] = []
    for each in incoming:
        rate_id = known.pop(each.key, None)
        current = live[rate_id] if rate_id else each.draft
        draft = replace(current, **{field: getattr(each.draft, field) for field in fields})
        spans.append(_Span(draft, each.line, f"that of line {each.line}"))
        refused += _faults(each, current, draft, categories)
        if rate_id is None:
            created.append(draft)
        elif draft != current:
            updated[rate_id] = draft
    spans += [_Span(live[rate_id], None, f"the rate {rate_id}") for rate_id in known.values()]
    refused += _overlaps(spans)
    return Plan(created, updated, sorted(refused))


def _faults(each: Incoming, current: RateDraft, draft: RateDraft, categories: Mapping[str, bool]) -> Iterator[Refused]:
    """Yield why a rate cannot be written, whatever the other rates are."""
    if draft.category and not categories.get(draft.category):
        yield Refused(each.line, f"tax_category: {draft.category} {'is archived' if draft.category in categories else 'does not exist'}")
    if each.draft.ppm != current.ppm:
        yield Refused(each.line, f"the rate that begins then has {current.ppm} ppm, which cannot be changed; end it and add another line")
    else:
        yield from (Refused(each.line, violation.text) for violation in draft.contradictions(""))


def _overlaps(spans: Sequence[_Span]) -> Iterator[Refused]:
    """Yield the lines whose rates are valid at the same time as another one of their place."""
    places: dict[tuple[str, str, str], list[_Span]] = defaultdict(list)
    for span in spans:
        places[span.draft.place].append(span)
    for found in places.values():
        found.sort(key=lambda span: span.begins)
        longest = found[0]
        for before, after in pairwise(found):
            longest = max(longest, before, key=lambda span: span.ends)
            if longest.ends > after.begins:
                culprit, other = (longest, after) if after.line is None else (after, longest)
                if culprit.line is not None:
                    yield Refused(culprit.line, f"overlaps {other.text}")
