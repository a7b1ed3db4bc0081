"""Logs have enough to find a call, and no secrets."""

import json
import stat

from support.mercato_up import PASSWORD, created, running
from support.patience import until_sync
from support.rest_client import Client

OTHER_PASSWORD = "another-secret-1"


def test_no_secret_is_in_any_log() -> None:
    with running(MERCATO_RATE_LIMITS="off", MERCATO_LOG_LEVEL="debug") as up:
        buyer = up.buyer()
        secrets = [PASSWORD, OTHER_PASSWORD, buyer.token, (up.data_dir / "secret_key").read_text().strip()]
        login = up.anyone.form("/login", {"username": buyer.email, "password": PASSWORD}).json
        renewed = up.anyone.post("/v1/auth:refresh", {"refresh_token": login["refresh_token"]}).json
        secrets += [login["access_token"], login["refresh_token"], renewed["access_token"], renewed["refresh_token"]]
        assert up.anyone.form("/login", {"username": buyer.email, "password": OTHER_PASSWORD}).status == 401
        assert up.anyone.post("/v1/auth:refresh", {"refresh_token": f"{renewed['refresh_token'][:-1]}A"}).status in (200, 401)
        assert Client(up.port, buyer.token + "x").get("/me").status == 401
        assert up.anyone.get(f"/me?access_token={buyer.token}").status in (400, 401)
        created(up.admin.post("/categories", {"name": "Balls"}))
        change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        assert buyer.post("/me:changePassword", change, [("idempotency-key", "a-key-of-mine")]).status == 200
        assert buyer.post("/orders/checkout").status == 400
        taken = {"email": buyer.email, "password": PASSWORD, "full_name": "Jo"}
        assert up.anyone.post("/signup", taken).status == 409
        until_sync(lambda: "/orders/checkout" in up.log("access.log"))  # Envoy writes its log every ten seconds
        assert stat.S_IMODE((up.data_dir / "log" / "security.log").stat().st_mode) == 0o600
        logs = {path.name: path.read_text(errors="replace") for path in (up.data_dir / "log").iterdir()}
        calls = [json.loads(line) for line in logs["access.log"].split("\n")[:-1]]  # the last line may be half written
    assert len(calls) >= 10
    assert any("ChangePassword" in text for name, text in logs.items() if name.startswith("worker-"))
    calls_of_workers = [
        json.loads(line) for name, text in logs.items() if name.startswith("worker-") for line in text.splitlines() if line[:1] == "{"
    ]
    assert not [line for line in calls_of_workers if line.get("log") == "security"]
    in_both = {line["request_id"] for line in calls} & {line["request_id"] for line in calls_of_workers if line["event"] == "call"}
    assert len(in_both) >= 5
    security = [json.loads(line) for line in logs["security.log"].splitlines()]
    assert {(line["reason"], line["client"]) for line in security} >= {
        ("LOGGED_IN", "127.0.0.1"),
        ("INVALID_CREDENTIALS", "127.0.0.1"),
        ("TOKEN_INVALID", "127.0.0.1"),
        ("PASSWORD_CHANGED", "127.0.0.1"),
    }
    assert not [line for line in security if buyer.email in repr(line)]
    assert "duplicate key value violates unique constraint" in logs["postgres.log"]
    for name, text in logs.items():
        assert buyer.email not in text, name
        found = [secret for secret in secrets if secret in text or secret.rpartition(".")[2] in text]
        assert not found, name
