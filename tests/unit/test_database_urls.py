"""URLs of databases: the servers that they name, and the refusal of those that could reach a standby."""

import pytest

from mercato_server.config.database_urls import place, servers, user
from mercato_server.config.environment import ConfigError
from mercato_server.config.settings import database_url

TARGET = "target_session_attrs"
ACCEPTED = (
    "postgresql://mercato@db/mercato",
    "postgresql://mercato:a%2Cb%40c@db:5433/mercato?sslmode=require",
    "postgresql:///mercato?host=/run/postgresql&port=5432",
    f"postgresql://mercato@a,b:5433/mercato?{TARGET}=primary",
    f"postgresql://mercato@a,b:5433/mercato?sslmode=require&{TARGET}=read-write",
    f"postgresql:///mercato?host=/a,/b&{TARGET}=primary",
    f"postgresql://db/mercato?{TARGET}=primary",
)
REFUSED = (
    ("postgresql://mercato:secret@a,b/mercato", "it names 2 servers"),
    ("postgresql://mercato:secret@a:5432,b:5432,c:5432/mercato?sslmode=require", "it names 3 servers"),
    ("postgresql:///mercato?password=secret&host=/a,/b", "it names 2 servers"),
    *((f"postgresql://mercato:secret@a,b/mercato?{TARGET}={other}", f"is {other}") for other in ("any", "read-only", "prefer-standby")),
    (f"postgresql://mercato:secret@a/mercato?{TARGET}=standby", "is standby"),
)


@pytest.mark.parametrize("url", ACCEPTED)
def test_a_url_that_can_reach_only_the_primary_is_accepted(url: str) -> None:
    assert database_url({"DATABASE_URL": url}) == url


@pytest.mark.parametrize(("url", "cause"), REFUSED)
def test_a_url_that_could_reach_a_standby_is_refused_with_the_cure(url: str, cause: str) -> None:
    with pytest.raises(ConfigError) as refused:
        database_url({"DATABASE_URL": url})
    message = str(refused.value)
    assert message.startswith("DATABASE_URL could reach a standby")
    assert cause in message
    assert "add target_session_attrs=primary" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///mercato?host=/a,/b,/c&port=1,2",
        "postgresql://[::1/mercato",
        *(
            f"postgresql://u:secret@{places}/mercato?{TARGET}=primary"
            for places in ("a,,b", "a,", ",b", ":5432,:5433", "a, b", "a:b", "a:0")
        ),
        f"postgresql:///mercato?host=/a,,/b&{TARGET}=primary",
        f"postgresql:///mercato?host=/a,&{TARGET}=primary",
        "postgresql:///mercato?host=/a&port=70000",
        "postgresql://u:secret@a:99999/mercato",
        "postgresql://u:secret/part@a/mercato",
        "postgresql://u:secr\u2100et@a/mercato",
        "postgresql://u:secret@a/mercato?sslmode",
        "mysql://u:secret@a/mercato",
        "host=a dbname=mercato password=secret",
    ],
)
def test_a_malformed_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        database_url({"DATABASE_URL": url})
    assert str(refused.value).startswith("DATABASE_URL is no PostgreSQL URL")
    assert "secr" not in str(refused.value)


def test_several_servers_in_pghost_are_refused() -> None:
    with pytest.raises(ConfigError, match="PGHOST"):
        database_url({"DATABASE_URL": f"postgresql:///mercato?{TARGET}=primary", "PGHOST": "a,b"})
    assert database_url({"DATABASE_URL": "postgresql://a/mercato", "PGHOST": "b,c"})


@pytest.mark.parametrize(
    ("url", "each"),
    [
        (
            "postgresql://u:p@a,b:2,[::1]:3/d?x=1",
            ["postgresql://u:p@a/d?x=1", "postgresql://u:p@b:2/d?x=1", "postgresql://u:p@[::1]:3/d?x=1"],
        ),
        ("postgresql:///d?host=/a,/b&port=1,2", ["postgresql:///d?host=/a&port=1", "postgresql:///d?host=/b&port=2"]),
        ("postgresql:///d?host=/a,b&port=1", ["postgresql:///d?host=/a&port=1", "postgresql:///d?host=b&port=1"]),
        ("postgresql:///d?host=/a,/b", ["postgresql:///d?host=/a", "postgresql:///d?host=/b"]),
        ("postgresql://u@/d?host=/a", ["postgresql://u@/d?host=/a"]),
        ("postgresql:///d", ["postgresql:///d"]),
    ],
)
def test_each_server_of_a_url_gets_a_url_of_its_own(url: str, each: list[str]) -> None:
    assert servers(url) == each


def test_a_place_has_no_password() -> None:
    assert [place(url) for url in servers("postgresql://u:p@a:1,b/d")] == ["a:1", "b"]
    assert place("postgresql://u:p@/d?host=/run") == "/run"
    assert place("postgresql://u:p@/d?host=/run&port=5433") == "/run:5433"


def test_the_user_of_a_url_is_unquoted() -> None:
    assert user("postgresql://the%20shop:p@a/d") == "the shop"
    assert user("postgresql:///d?user=shop") == "shop"
    with pytest.raises(ConfigError, match="names no user"):
        user("postgresql:///d")
