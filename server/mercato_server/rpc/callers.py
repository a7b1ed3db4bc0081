"""How much each client holds."""


class Places:
    """Counts what callers hold; none holds more than `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, int] = {}

    def take(self, caller: str) -> bool:
        """Take a place for a caller; False if it has all that it may have. A caller without a name is not counted."""
        held = self._held.get(caller, 0)
        if held >= self._most:
            return False
        if caller:
            self._held[caller] = held + 1
        return True

    def free(self, caller: str) -> None:
        """Give back a place that was taken."""
        if caller:
            held = self._held.pop(caller) - 1
            if held:
                self._held[caller] = held
