"""The background task that counts what operators must look into among payments, for the worker's metrics."""

import asyncio

from mercato_server.database.pool import Pool
from mercato_server.domain import backoff
from mercato_server.store import payment_alerts
from mercato_server.store.payment_alerts import PaymentAlerts

INTERVAL_S = 15.0


class PaymentWatch:
    """The newest counts. There are none before the first, and after a failure: old ones would hide that the database is away."""

    def __init__(self, pool: "Pool", interval_s: float = INTERVAL_S) -> None:
        self._pool = pool
        self._interval_s = interval_s
        self.alerts: PaymentAlerts | None = None

    async def keep(self) -> None:
        """Count about once an interval, until cancelled."""
        while True:
            try:
                self.alerts = await payment_alerts.read(self._pool)
            except BaseException:
                self.alerts = None
                raise
            await asyncio.sleep(backoff.jittered(self._interval_s))
