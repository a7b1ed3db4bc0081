"""Which environment variables child processes inherit. All others, such as the secrets of other programs, stay with their parent."""

import os
from collections.abc import Mapping

_PROGRAM = ("PATH", "LD_LIBRARY_PATH")
"""Variables that PostgreSQL and Envoy need to start."""
_PYTHON = (*_PROGRAM, "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PYTHON_PREFIXES = ("PYTHON", "LC_", "GRPC_")
_WORKER = ("DATABASE_URL", "SECRET_KEY", "ALGORITHM", "ACCESS_TOKEN_EXPIRE_MINUTES")
_WORKER_PREFIXES = ("MERCATO_", "OTEL_")
_NOT_WORKER = ("MERCATO_ADMIN_PASSWORD",)


def program_environ() -> dict[str, str]:
    """Return the environment of PostgreSQL and Envoy, which get no settings and no secrets."""
    return {name: value for name, value in os.environ.items() if name in _PROGRAM}


def python_environ(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the part of an environment, by default this process's, that any process of Python needs."""
    env = os.environ if environ is None else environ
    return {name: value for name, value in env.items() if name in _PYTHON or name.startswith(_PYTHON_PREFIXES)}


def worker_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that a worker needs: its settings, and what Python needs."""
    settings = {name: value for name, value in environ.items() if name in _WORKER or name.startswith(_WORKER_PREFIXES)}
    return python_environ(environ) | {name: value for name, value in settings.items() if name not in _NOT_WORKER}
