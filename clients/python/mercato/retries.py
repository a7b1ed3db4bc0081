"""The published retry policy, for channels of any gRPC client."""

from importlib.resources import files


def service_config(*, keyed: bool = False) -> str:
    """Return a gRPC service config as JSON, for the channel option `grpc.service_config`.

    gRPC then repeats a call whose error a delay helps: up to five attempts, at the times that the server names. It repeats RPCs that change
    nothing, and with `keyed` also those that honour an idempotency key. Only a channel whose calls all carry a key may use `keyed`: without
    a key, a repeated call can act twice. The deadline is that of the call; the config has none.
    """
    return files("mercato").joinpath(f"service-config{'-keyed' if keyed else ''}.json").read_text(encoding="utf-8")
