"""Secrets that come from files: NAME_FILE names the file with the value of NAME, as Docker and Kubernetes provide secrets."""

import os
from collections.abc import Mapping
from pathlib import Path

from mercato_server.config.edge_variables import EDGE_VARIABLES
from mercato_server.config.environment import ConfigError
from mercato_server.config.worker_variables import WORKER_VARIABLES

SUFFIX = "_FILE"
VARIABLES = (*WORKER_VARIABLES, *EDGE_VARIABLES)
SECRETS = tuple(variable.name for variable in VARIABLES if variable.secret)
BYTES_MAX = 64 * 1024
"""Longest file of a secret; the longest secret, DATABASE_URL, has less than a hundredth of that."""


def read(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which each secret has the value of its file. Line ends at the end of a file do not count.

    Raises ConfigError, which never shows a value, if both NAME and NAME_FILE are set, or if a file is not the text of a secret.
    """
    result = dict(env)
    for name in SECRETS:
        path = result.pop(name + SUFFIX, "")
        if not path:
            continue
        if result.get(name):
            raise ConfigError(f"{name} and {name}{SUFFIX} are both set; leave one of them out")
        result[name] = _secret(name + SUFFIX, Path(path))
    return result


def read_into_environment() -> None:
    """Give this process, and the children that inherit its environment, the secrets of their files; raises ConfigError as `read`."""
    secrets = read(os.environ)
    for name in SECRETS:
        os.environ.pop(name + SUFFIX, None)
    os.environ.update({name: secrets[name] for name in SECRETS if name in secrets})


def _secret(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        value = content.decode().rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{variable} is {str(path)!r}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{variable} is {str(path)!r}, which is no text in UTF-8") from None
    if len(content) > BYTES_MAX:
        raise ConfigError(f"{variable} is {str(path)!r}, which has more than {BYTES_MAX} bytes")
    if not value or "\0" in value:
        raise ConfigError(f"{variable} is {str(path)!r}, which must have a text, and no NUL")
    return value
