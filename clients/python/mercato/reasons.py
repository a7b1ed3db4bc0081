"""The reasons of errors, from the one list in protos/mercato/v1/reasons.proto.

Server, edge and clients share it. It imports no grpc.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Self

from google.protobuf.descriptor import EnumValueDescriptor
from google.rpc import code_pb2

from mercato.v1 import reasons_pb2

PREFIX = "REASON_"
"""Of the names in the proto. A reason in an error has the name without it."""


class RetryAdvice(Enum):
    """Whether and when a refused call may be sent again; the comments of the proto define the values."""

    NEVER = "NEVER"
    AFTER_CHANGE = "AFTER_CHANGE"
    AFTER_READ = "AFTER_READ"
    AFTER_LOGIN = "AFTER_LOGIN"
    AFTER_DELAY = "AFTER_DELAY"
    LATER = "LATER"
    SAME_KEY = "SAME_KEY"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason of errors."""

    name: str
    """As in errors, such as OUT_OF_STOCK."""
    code: str
    """Name of the gRPC code of every error with the reason."""
    meaning: str
    """The condition that the reason stands for, in sentences."""
    remedy: str
    """The steps that a caller can take, in sentences."""
    retry: RetryAdvice
    detail: str
    """Full name of the message in the details beside the ErrorInfo; empty if there is none."""
    by_edge: bool
    """Whether the edge answers with the reason by itself."""
    outcome_unknown: bool
    """Whether the call may have been carried out in spite of the error."""

    @classmethod
    def of(cls, value: EnumValueDescriptor) -> Self:
        """Read a reason from its descriptor; raises ValueError if its policy lacks its code or its advice."""
        policy = value.GetOptions().Extensions[reasons_pb2.reason]
        if not (policy.code and policy.retry and policy.meaning and policy.remedy):
            raise ValueError(f"{value.name} has no policy with a code, a meaning, a remedy and an advice")
        return cls(
            name=value.name.removeprefix(PREFIX),
            code=code_pb2.Code.Name(policy.code),
            meaning=policy.meaning,
            remedy=policy.remedy,
            retry=RetryAdvice[reasons_pb2.RetryAdvice.Name(policy.retry).removeprefix("RETRY_ADVICE_")],
            detail=policy.detail,
            by_edge=policy.by_edge,
            outcome_unknown=policy.outcome_unknown,
        )


REASONS: Mapping[str, Reason] = MappingProxyType(
    {reason.name: reason for value in reasons_pb2.Reason.DESCRIPTOR.values if value.number for reason in (Reason.of(value),)}
)
"""Every reason by its name, in the order of the proto."""
