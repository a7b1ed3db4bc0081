"""Send gRPC as raw bytes, and by command-line programs."""

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2  # noqa: F401 - MessageToDict finds the details by their names
from google.rpc.status_pb2 import Status

from support.patience import patient

BIN = Path(sys.executable).parent


def grpc_error(channel: grpc.Channel, method: str, message: bytes, **options: Any) -> Any:
    """Send raw bytes as a message, which must be refused; return the error."""
    call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    with pytest.raises(grpc.RpcError) as raised:
        call(message, timeout=patient(), **options)
    return raised.value


def rich(error: Any) -> Any:
    """Return the google.rpc.Status of an error as JSON."""
    packed = dict(error.trailing_metadata())["grpc-status-details-bin"]
    return MessageToDict(Status.FromString(packed), preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def run(*command: object) -> str:
    """Run a program of the virtual environment and return its output."""
    environ = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(part) for part in command], env=environ, capture_output=True, text=True, timeout=patient(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def frame(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def frames(body: bytes) -> list[tuple[int, bytes]]:
    found = []
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        found.append((flags, body[5 : 5 + length]))
        body = body[5 + length :]
    return found
