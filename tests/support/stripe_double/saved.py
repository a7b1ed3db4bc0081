"""The account and its idempotency keys as a file, so that the program goes on after a restart. Its events and webhooks end with it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support.stripe_double.account import Account
from support.stripe_double.keys import Keys
from support.stripe_double.objects import Charge, Dispute, Intent, Refund, Transaction

KINDS: dict[str, type[Any]] = {"intents": Intent, "charges": Charge, "refunds": Refund, "disputes": Dispute, "transactions": Transaction}


def encode(account: Account, keys: Keys) -> str:
    """Return all objects and keys as JSON."""
    objects = {name: [asdict(each) for each in getattr(account, name).values()] for name in KINDS}
    return json.dumps({**objects, "keys": keys.settled()})


def write(path: Path, text: str) -> None:
    """Replace the file, so that a process that is killed leaves the old or the new one."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_text(text)
    unfinished.replace(path)


def read(path: Path, account: Account, keys: Keys) -> None:
    """Put the objects and keys of a file into an account that has none."""
    saved = json.loads(path.read_text())
    for name, kind in KINDS.items():
        getattr(account, name).update({each["id"]: kind(**each) for each in saved[name]})
    for charge in account.charges.values():
        charge.failure = (charge.failure[0], charge.failure[1]) if charge.failure else None  # JSON has no tuples
    account.count_again()
    keys.restore(saved["keys"])
