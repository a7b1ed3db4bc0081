"""A double with a file goes on with its account after a restart."""

from pathlib import Path

from support.stripe_double.double import StripeDouble
from support.stripe_double.objects import Transaction
from support.stripe_sdk import client, key


async def test_payments_refunds_disputes_and_keys_are_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    first = StripeDouble(file=file)
    await first.start()
    async with client(first) as sdk:
        create = {"amount": 2_000, "currency": "usd", "metadata": {"payment_id": "p"}}
        original = await sdk.v1.payment_intents.create_async(create, key("reference"))  # type: ignore[arg-type] # a TypedDict
        for method in ("pm_card_chargeDeclined", "pm_card_visa"):
            first.acts.pay(original.id, method)
        disputed = await sdk.v1.payment_intents.create_async({"amount": 700, "currency": "eur"}, key())
        first.acts.pay(disputed.id, "pm_card_createDispute")
        first.acts.settle()
        unbooked = await sdk.v1.payment_intents.create_async({"amount": 300, "currency": "usd"}, key())
        first.acts.pay(unbooked.id)
        await sdk.v1.refunds.create_async({"payment_intent": original.id, "amount": 500}, key())
    await first.stop()

    second = StripeDouble(file=file)
    await second.start()
    for kind in ("intents", "charges", "refunds", "disputes", "transactions"):
        assert getattr(second.account, kind) == getattr(first.account, kind), kind
    assert [second.account.balance(currency) for currency in ("usd", "eur")] == [first.account.balance(each) for each in ("usd", "eur")]
    async with client(second) as sdk:
        again = await sdk.v1.payment_intents.create_async(create, key("reference"))  # type: ignore[arg-type] # as above
        assert again.last_response is not None
        assert original.last_response is not None
        assert again.last_response.body == original.last_response.body
    second.acts.settle()
    booked: list[Transaction] = [each for each in second.account.transactions.values() if each.amount == 300]
    assert len(booked) == 1
    second.check()
    await second.stop()


async def test_what_the_shop_has_heard_is_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    double = StripeDouble(file=file)
    await double.start()
    async with client(double) as sdk:
        intent = await sdk.v1.payment_intents.create_async({"amount": 100, "currency": "usd"}, key())
        assert intent.id in file.read_text()
        await sdk.v1.payment_intents.cancel_async(intent.id, options=key())
        assert '"canceled"' in file.read_text()
    await double.stop()
