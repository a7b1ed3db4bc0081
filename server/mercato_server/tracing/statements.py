"""The names of statements: those of the UPPER_CASE constants that hold them."""

import sys

VERB_MAX = 20


class StatementNames:
    """Finds the constant of a text; constants of modules that are loaded later are found too."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._modules = 0

    def of(self, text: str) -> str:
        """Return the name of the constant with a text; without one the statement's first word."""
        found = self._names.get(text)
        if found is None and self._modules != len(sys.modules):
            self._learn()
            found = self._names.get(text)
        return found or verb(text)

    def _learn(self) -> None:
        self._modules = len(sys.modules)
        for name, module in list(sys.modules.items()):
            if name.startswith("mercato_server."):
                texts = ((key, value) for key, value in vars(module).items() if key.isupper() and isinstance(value, str))
                self._names.update({value: key for key, value in texts if " " in value})


def verb(text: str) -> str:
    """Return the first word of a statement. asyncpg copies rows to a table by the table's name alone."""
    words = text.split(maxsplit=1)
    return words[0].rstrip(";").upper()[:VERB_MAX] if len(words) > 1 or text.isupper() else "COPY"
