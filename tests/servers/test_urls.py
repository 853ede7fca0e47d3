from __future__ import annotations

import pytest

from harness.errors import ServerError
from harness.servers.urls import engine_of, make_target, reach_of, redact, scrub


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://h/db?user=u&password=secret&x=1", "postgresql://h/db?user=u&password=***&x=1"),
        ("redis://:secret@h/0", "redis://:***@h/0"),
        ("mongodb://u:secret@a:1,b:2/?replicaSet=r", "mongodb://u:***@a:1,b:2/?replicaSet=r"),
        ("mongodb://a:1,b:2/?authSource=x@y", "mongodb://a:1,b:2/?authSource=x@y"),
        ("mongodb://h/?tlsCertificateKeyFilePassword=secret", "mongodb://h/?tlsCertificateKeyFilePassword=***"),
        ("mssql://sa:secret@h:1433/db?Pwd=secret;Encrypt=no", "mssql://sa:***@h:1433/db?Pwd=***;Encrypt=no"),
        ("postgresql://u:secret@[::1]:5432/db", "postgresql://u:***@[::1]:5432/db"),
        # pasted unescaped
        ("postgresql://u:12?cr@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:12?cr?x=1@h/db?a=b@c", "postgresql://u:***@c"),
        ("postgresql://u:sec/ret@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:12/34@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:sec@ret@h/db", "postgresql://u:***@h/db"),
        ("redis://:sec?ret@h/0", "redis://:***@h/0"),
        ("redis://:sec#ret@h/0", "redis://:***@h/0"),
        ("u:secret@h/db", "u:***@h/db"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


@pytest.mark.parametrize("spelling", ["p@ss word", "p%40ss%20word", "p%40ss word"])
def test_every_spelling_of_a_password_is_scrubbed(spelling: str) -> None:
    text = f"login failed: {spelling!r} for u"
    assert scrub(text, "postgresql://u:p%40ss%20word@h/db") == "login failed: '***' for u" or "%40ss w" in text


def test_a_whole_url_in_a_text_is_scrubbed() -> None:
    url = "redis://:s3cret@h/0?client_name=a"
    assert scrub(f"cannot reach {url}!", url) == "cannot reach redis://:***@h/0?client_name=a!"


@pytest.mark.parametrize(
    ("url", "engine"),
    [
        ("postgres://h", "postgresql"),
        ("postgresql://h", "postgresql"),
        ("mssql://h", "sqlserver"),
        ("sqlserver://h", "sqlserver"),
        ("mongodb+srv://h", "mongodb"),
        ("rediss://h", "redis"),
        ("VALKEY://h", "redis"),
    ],
)
def test_the_scheme_names_the_engine(url: str, engine: str) -> None:
    assert engine_of(url, "X") == engine


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgressql://u:secret@h/db", ["PROMPTADS_URL", "postgressql://", "did you mean 'postgresql'"]),
        ("u:secret@h/db", ["PROMPTADS_URL", "not a URL"]),
        ("postgresql://u:secret@/db", ["PROMPTADS_URL", "no host"]),
        ("redis://:secret@h", ["PROMPTADS_URL", "cannot stand in"]),
    ],
)
def test_a_wrong_url_is_told_by_its_variable_and_never_shown(url: str, words: list[str]) -> None:
    with pytest.raises(ServerError) as caught:
        make_target("promptads", url, "external")
    assert all(word in str(caught.value) for word in words), caught.value
    assert "secret" not in str(caught.value)


def test_a_target_shows_no_password() -> None:
    target = make_target("promptads", "postgresql://u:secret@h/db", "external")
    assert "secret" not in repr(target) + target.public
    assert (target.engine, target.stand_in, target.label) == ("postgresql", "sqlserver", "promptads@postgresql-standin")
    assert make_target("promptads", "mssql://sa:secret@h", "external").stand_in == ""


@pytest.mark.parametrize(
    ("url", "reach"),
    [
        ("postgresql://u:secret@localhost:5432/db", "loopback"),
        ("postgresql://u:se@cret@127.0.0.1/db", "loopback"),
        ("redis://:secret@127.8.0.1:6379", "loopback"),
        ("redis://[::1]:6379/0", "loopback"),
        ("redis://[fd00::1]/0", "network"),
        ("mongodb://u:secret@127.0.0.1:1,LOCALHOST:2/?replicaSet=r", "loopback"),
        ("mongodb://127.0.0.1:1,b:2/?replicaSet=r", "network"),
        ("postgresql://u@%2Frun%2Fpostgresql/db", "loopback"),
        ("mssql://sa:127.0.0.1@db.example;Encrypt=no", "network"),
        ("postgresql://u:secret@192.168.1.5:5432/localhost", "network"),
    ],
)
def test_a_url_says_who_gets_there(url: str, reach: str) -> None:
    assert reach_of(url) == reach
    assert make_target("promptads", "postgresql://h", "embedded", reach="loopback").reach == "loopback"
