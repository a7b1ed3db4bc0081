"""The double as a program of its own, as `mercato up --demo-payments` will run it."""

import asyncio
import json
import sys
from pathlib import Path

import httpx

from support.patience import until
from support.stripe_double.double import PUBLISHABLE_KEY, SECRET_KEY

TESTS = Path(__file__).parents[2]


async def test_the_program_serves_settles_and_ends_on_a_signal() -> None:
    command = (sys.executable, "-m", "support.stripe_double", "--port", "0")
    program = await asyncio.create_subprocess_exec(*command, cwd=TESTS, stdout=asyncio.subprocess.PIPE)
    try:
        assert program.stdout is not None
        line = (await program.stdout.readline()).decode()
        assert "play money" in line
        await pay_and_settle(line.split(" on ")[1].split(" ")[0])
    finally:
        program.terminate()
    assert await program.wait() == 0


async def pay_and_settle(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, auth=(SECRET_KEY, ""), trust_env=False) as shop:
        form = {"amount": "500", "currency": "usd"}
        intent = (await shop.post("/v1/payment_intents", data=form, headers={"idempotency-key": "reference:1"})).json()
        pay = {"client_secret": intent["client_secret"], "payment_method": "pm_card_visa"}
        await shop.post(f"/v1/payment_intents/{intent['id']}/confirm", data=pay, auth=(PUBLISHABLE_KEY, ""))

        async def booked() -> object:
            path = f"/v1/payment_intents/{intent['id']}?expand[]=latest_charge"
            return json.loads((await shop.get(path)).content)["latest_charge"]["balance_transaction"]

        await until(booked, "the program has settled the payment")
