"""The untouched data agrees; whatever is broken on purpose is found, by the rule that is meant to find it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from fixtures.databases import Database
from fixtures.giving import Giving
from fixtures.seed import plan_of
from fixtures.seed.campaigns import DRAFT, campaigns
from harness.errors import DataError
from harness.promptsales.coherence import Report, check, report_json, report_table
from harness.promptsales.coherence_kinds import merged
from harness.promptsales.coherence_rules import RULES
from harness.vocabulary import LOGICAL

Places = Mapping[str, tuple[str, str]]

CAMPAIGN_COPY = "PromptSales knows the campaigns as they are"
CLIENT_COPY = "PromptSales knows the clients as they are"
CONTENT_COPY = "PromptSales knows the contents as they are"
CLIENT_MONTH = "a client's month is the sum of its sales and interactions"
CAMPAIGN_METRICS = "a campaign's month is the sum of its metrics"
CAMPAIGN_SALES = "a campaign's month is the sum of its sales"
CONTENT_METRICS = "a content's month is the sum of its ads' metrics"
CONTENT_SAID = "a content's month is the sum of the interactions with it"
SPENT = "what was spent is the sum of the ads' costs, and within the budget"
DECRYPTS = "sensitive values decrypt, and are found by their hashes (a sample)"
ENCLOSED = "a campaign's dates enclose the sales put down to it"
PICTURE = "each content has its picture, each picture its content"
VECTOR = "each content has its vector, each vector its content"
METRICS_WITHIN = "a campaign's dates enclose its metrics"
DRAFTS = [number + 1 for number, status in enumerate(campaigns(plan_of("tiny")).status.tolist()) if status == DRAFT]

_CANCELLED = "(SELECT min(id) FROM sale WHERE status = 'cancelled' AND campaign_id IS NULL)"
_DRAFT_AD = "(SELECT min(a.id) FROM ad a JOIN campaign c ON c.id = a.campaign_id WHERE c.status = 'draft')"

BREAKS: list[tuple[str, str, str, set[str]]] = [
    *(
        (f"the ETL keeps the {kind}", "promptsales", f"INSERT INTO fact.{values}", set())
        for kind, values in (
            ("metrics that PromptAds holds", "metric_day VALUES (1, '2025-01-01', 1, 1, 1, 1)"),
            ("sales that PromptCrm holds", "sale VALUES (1, 1, NULL, '2025-01-01', 'open', 1)"),
            ("interactions that PromptCrm holds", "interaction VALUES (1, 1, NULL, NULL, '2025-01-01')"),
        )
    ),
    # rule that must find it, database, what is done to it, rules that may find it too
    (
        "exactly 30 % of the campaigns are active",
        "promptads",
        "UPDATE campaign SET status = 'paused' WHERE id = (SELECT min(id) FROM campaign WHERE status = 'active')",
        {CAMPAIGN_COPY},
    ),
    (
        "a campaign's budget is the sum of its channels'",
        "promptads",
        "UPDATE campaign SET budget = budget + 0.01 WHERE id = 3",
        {CAMPAIGN_COPY},
    ),
    (SPENT, "promptads", "UPDATE budget SET spent = spent + 0.01 WHERE id = (SELECT min(id) FROM budget)", set()),
    (
        SPENT,
        "promptads",
        "UPDATE budget SET amount = spent - 1 WHERE id = (SELECT min(id) FROM budget WHERE spent > 1)",
        {"a campaign's budget is the sum of its channels'"},
    ),
    (
        "an ad runs on a channel that its campaign has a budget for",
        "promptads",
        "UPDATE ad SET channel_id = (SELECT min(id) FROM channel WHERE id NOT IN "
        f"(SELECT channel_id FROM budget WHERE budget.campaign_id = ad.campaign_id)) WHERE id = {_DRAFT_AD}",
        set(),
    ),
    (
        METRICS_WITHIN,
        "promptads",
        "UPDATE campaign SET ends_on = starts_on WHERE id = (SELECT min(id) FROM campaign WHERE status = 'finished')",
        {CAMPAIGN_COPY, ENCLOSED},
    ),
    (
        "a sale's total is the sum of its lines",
        "promptcrm",
        f"UPDATE sale SET total = total + 0.01 WHERE id = {_CANCELLED}",
        set(),
    ),
    (
        "a sale's total is the sum of its lines",
        "promptcrm",
        f"DELETE FROM sale_line WHERE sale_id = {_CANCELLED}",
        set(),
    ),
    (
        "nothing was sold to a client before it was one",
        "promptcrm",
        "UPDATE sale SET sold_on = (SELECT created_on - 1 FROM client WHERE client.id = sale.client_id) "
        f"WHERE id = {_CANCELLED}",
        set(),
    ),
    (
        "nothing was said to a client before it was one",
        "promptcrm",
        "UPDATE interaction SET happened_at = (SELECT created_on - 1 FROM client WHERE client.id = interaction.client_id) "
        "WHERE id = (SELECT min(id) FROM interaction)",
        {CLIENT_MONTH, CONTENT_SAID},
    ),
    (
        "a sale came of a won opportunity of the same client",
        "promptcrm",
        "UPDATE sale SET opportunity_id = (SELECT min(id) FROM opportunity "
        f"WHERE stage = 'won' AND client_id <> sale.client_id) WHERE id = {_CANCELLED}",
        set(),
    ),
    (
        "a sale came of a won opportunity of the same client",
        "promptcrm",
        "UPDATE opportunity SET stage = 'lost' WHERE id = (SELECT min(opportunity_id) FROM sale)",
        set(),
    ),
    (
        "a client was referred by one that came before",
        "promptcrm",
        "UPDATE client SET referred_by = id WHERE id = 5",
        set(),
    ),
    (
        "a client was referred by one that came before",
        "promptcrm",
        "UPDATE client SET referred_by = 200 WHERE id = 1",
        set(),
    ),
    (
        DECRYPTS,
        "promptcrm",
        "UPDATE client SET email_cipher = set_byte(email_cipher, 20, 255 - get_byte(email_cipher, 20)) WHERE id = 7",
        set(),
    ),
    (
        DECRYPTS,
        "promptcrm",
        "UPDATE client SET phone_cipher = (SELECT phone_cipher FROM client WHERE id = 8) WHERE id = 7",
        set(),
    ),
    (DECRYPTS, "promptcrm", "UPDATE client SET phone_hash = sha256('x') WHERE id = 7", set()),
    (DECRYPTS, "promptcrm", "UPDATE client SET tax_id_hash = NULL WHERE id = 7", set()),
    (
        "the campaign of each client exists",
        "promptcrm",
        "UPDATE client SET campaign_id = 999 WHERE id = 7",
        set(),
    ),
    (
        "the campaign of each opportunity exists",
        "promptcrm",
        "UPDATE opportunity SET campaign_id = 999 WHERE id = (SELECT min(id) FROM opportunity)",
        set(),
    ),
    (
        "the campaign of each sale exists",
        "promptcrm",
        f"UPDATE sale SET campaign_id = 999 WHERE id = {_CANCELLED}",
        set(),
    ),
    (
        "the campaign of each interaction exists",
        "promptcrm",
        "UPDATE interaction SET campaign_id = 999 WHERE id = (SELECT min(id) FROM interaction)",
        set(),
    ),
    (
        "the content of each campaign exists",
        "promptads",
        "UPDATE campaign SET content_id = 999 WHERE id = 1",
        {CAMPAIGN_COPY},
    ),
    ("the content of each ad exists", "promptads", f"UPDATE ad SET content_id = 999 WHERE id = {_DRAFT_AD}", set()),
    (
        "the content of each interaction exists",
        "promptcrm",
        "UPDATE interaction SET content_id = 999 WHERE id = (SELECT min(id) FROM interaction)",
        {CONTENT_SAID},
    ),
    (ENCLOSED, "promptcrm", f"UPDATE sale SET campaign_id = {DRAFTS[0]} WHERE id = {_CANCELLED}", set()),
    (CAMPAIGN_COPY, "promptsales", "UPDATE campaign SET name = 'Zanahoria' WHERE id = 1", set()),
    (CLIENT_COPY, "promptsales", "UPDATE client SET credit = credit + 0.01 WHERE id = 9", set()),
    (CLIENT_COPY, "promptsales", "UPDATE client SET name = 'Zanahoria' WHERE id = 9", set()),
    (
        CLIENT_COPY,
        "promptsales",
        "DELETE FROM client WHERE id = (SELECT max(id) FROM client WHERE id NOT IN (SELECT client_id FROM client_month))",
        set(),
    ),
    (
        CLIENT_COPY,
        "promptsales",
        "INSERT INTO client (id, name, country, created_on) VALUES (900, 'x', 'CR', '2025-01-01')",
        set(),
    ),
    (CONTENT_COPY, "promptsales", "UPDATE content SET hashtags = '{}' WHERE id = 2", set()),
    (
        CLIENT_MONTH,
        "promptsales",
        "UPDATE client_month SET sales = sales + 1 WHERE client_id = (SELECT min(client_id) FROM client_month)",
        set(),
    ),
    (
        CLIENT_MONTH,
        "promptsales",
        "DELETE FROM client_month WHERE client_id = (SELECT max(client_id) FROM client_month)",
        set(),
    ),
    (
        CLIENT_MONTH,
        "promptsales",
        "INSERT INTO client_month (client_id, month, interactions) VALUES (1, '2020-02-01', 1)",
        set(),
    ),
    (
        CAMPAIGN_METRICS,
        "promptsales",
        "UPDATE campaign_month SET clicks = clicks + 1 WHERE campaign_id = (SELECT min(campaign_id) FROM campaign_month)",
        set(),
    ),
    (
        CAMPAIGN_SALES,
        "promptsales",
        "UPDATE campaign_month SET revenue = revenue + 0.01 WHERE campaign_id = "
        "(SELECT min(campaign_id) FROM campaign_month)",
        set(),
    ),
    (
        CONTENT_METRICS,
        "promptsales",
        "UPDATE content_month SET impressions = impressions + 1 WHERE content_id = 1",
        set(),
    ),
    (
        CONTENT_SAID,
        "promptsales",
        "UPDATE content_month SET interactions = interactions + 1 WHERE content_id = 1",
        set(),
    ),
    (
        "a month is the sum over clients and campaigns",
        "promptsales",
        "UPDATE month_summary SET cost = cost + 0.01 WHERE month = (SELECT min(month) FROM month_summary)",
        set(),
    ),
    (VECTOR, "promptsales", "DELETE FROM content_embedding WHERE content_id = 3", set()),
    (VECTOR, "promptsales", "UPDATE content_embedding SET content_id = 999 WHERE content_id = 3", set()),
]

Break = Callable[[Any], object]
BREAKS_ELSEWHERE: list[tuple[str, str, Break, set[str]]] = [
    (PICTURE, "promptcontent", lambda db: db["pictures.files"].delete_one({"_id": 3}), set()),
    (PICTURE, "promptcontent", lambda db: db["pictures.files"].insert_one({"_id": 999}), set()),
    (
        "pictures are what their contents say (a sample)",
        "promptcontent",
        lambda db: db["pictures.chunks"].update_one({"files_id": 2, "n": 0}, {"$set": {"data": b"no picture"}}),
        set(),
    ),
    (
        "pictures are what their contents say (a sample)",
        "promptcontent",
        lambda db: db["pictures.chunks"].update_one(
            {"files_id": 2, "n": 0},
            {"$set": {"data": bytes(db["pictures.chunks"].find_one({"files_id": 2, "n": 0})["data"])[:-1] + b"\0"}},
        ),
        set(),
    ),
    (
        "the content of each ad exists",
        "promptcontent",
        lambda db: db["content"].delete_one({"_id": 4}),
        {
            "the content of each campaign exists", "the content of each interaction exists", CONTENT_COPY, VECTOR, PICTURE,
            "what the cache holds of a content exists",
        },
    ),
    *(
        (f"what the cache holds of a {kind} exists", "cache", lambda db, kind=kind: db.set(f"{kind}:99999:x", "1"), set())
        for kind in ("client", "campaign", "content", "plan")
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def places(
    promptads_shared: Database,
    promptcrm_shared: Database,
    promptsales_shared: Database,
    promptcontent_shared: Database,
    cache_shared: Database,
) -> Places:
    shared = (promptsales_shared, promptads_shared, promptcrm_shared, promptcontent_shared, cache_shared)
    return {database.logical: (database.engine, database.url) for database in shared}


@contextmanager
def one_of_our_own(giving: Giving, places: Places, logical: str) -> Iterator[tuple[Database, Places]]:
    """A database to be broken, among the shared ones."""
    with giving.database(logical, "tiny") as database:
        yield database, {**places, logical: (database.engine, database.url)}


def broken(report: Report) -> dict[str, tuple[str, ...]]:
    return {finding.rule: finding.offenders for finding in report.findings if finding.broken}


def shown(report: Report) -> str:
    console = Console(width=250, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report_table(report))
    return console.export_text()


# -- what is as it should be


def test_the_untouched_data_agrees(places: Places) -> None:
    report = check(places)
    assert broken(report) == {}
    assert report.coherent
    assert report.left_out == []
    assert len(report.findings) == len(RULES)
    assert [finding.rule for finding in report.findings if not finding.checked] == [], "it looked at nothing"
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_each_rule_is_broken_by_some_test() -> None:
    """A rule that is added needs a test that breaks it."""
    assert {rule.name for rule in RULES} == {rule for rule, *_ in (*BREAKS, *BREAKS_ELSEWHERE)}


# -- what is not


def worded(value: object) -> str:
    """A parameter in an id that is the same in every process: neither an address nor the order of a set."""
    return value[:60] if isinstance(value, str) else ""


@pytest.mark.parametrize(("rule", "logical", "sql", "also"), BREAKS, ids=worded)
def test_what_is_broken_is_found(
    giving: Giving, places: Places, rule: str, logical: str, sql: str, also: set[str]
) -> None:
    with one_of_our_own(giving, places, logical) as (database, among):
        with database.connect() as connection:
            assert connection.execute(sql).rowcount >= 1
        report = check(among)
    found = broken(report)
    assert rule in found
    assert set(found) <= {rule} | also
    assert not report.coherent
    assert all(found.values()), "each names the first of them"
    assert "Zanahoria" not in json.dumps(report_json(report)), "a text that could be a person's is never shown"


@pytest.mark.parametrize(("rule", "logical", "act", "also"), BREAKS_ELSEWHERE, ids=worded)
def test_what_is_broken_elsewhere_is_found(
    giving: Giving, places: Places, rule: str, logical: str, act: Break, also: set[str]
) -> None:
    with one_of_our_own(giving, places, logical) as (database, among):
        act(database.connect())
        found = broken(check(among))
    assert rule in found
    assert set(found) <= {rule} | also


def test_offenders_are_named_by_key_and_number(giving: Giving, places: Places) -> None:
    with one_of_our_own(giving, places, "promptsales") as (database, among):
        with database.connect() as connection:
            connection.execute(
                "UPDATE client_month SET sales = sales + 3 WHERE (client_id, month) = "
                "(SELECT client_id, month FROM client_month ORDER BY 1, 2 LIMIT 1)"
            )
            client, month, sales = connection.execute(
                "SELECT client_id, to_char(month, 'YYYY-MM'), sales FROM client_month ORDER BY client_id, client_month.month"
            ).fetchone()
            connection.execute("UPDATE client SET name = 'x', credit = 1 WHERE id = 20")
        found = broken(check(among))
    assert found[CLIENT_MONTH] == (f"client {client}, {month}: sales {sales} / {sales - 3}",)
    assert found[CLIENT_COPY][0].startswith("client 20: name differs, credit 100 / ")


def test_many_offenders_are_counted_and_the_first_are_named(giving: Giving, places: Places) -> None:
    with one_of_our_own(giving, places, "promptcrm") as (database, among):
        with database.connect() as connection:
            count = connection.execute("UPDATE interaction SET campaign_id = 7000 + id % 9").rowcount
        report = check(among)
    finding = next(one for one in report.findings if one.rule == "the campaign of each interaction exists")
    assert finding.broken == finding.checked == count
    assert len(finding.offenders) == 5
    assert finding.offenders[0].startswith("campaign 7000 (")


# -- what could not be looked at


def test_what_is_missing_is_said(places: Places) -> None:
    some = {logical: place for logical, place in places.items() if logical != "promptcontent"}
    report = check(some, {"promptcontent": "not up"})
    assert report.coherent
    assert "not checked: the content of each ad exists: promptcontent is not up" in report.left_out
    assert 0 < len(report.left_out) < len(RULES) / 2


def test_a_server_that_died_is_said_once_for_each_rule(places: Places) -> None:
    report = check({**places, "promptads": ("postgresql", "postgresql://ana:s3cret@127.0.0.1:1/promptads")})
    gone = [line for line in report.left_out if "promptads at postgresql://ana:***@127.0.0.1:1" in line]
    assert len(gone) == sum("promptads" in rule.needs for rule in RULES)
    assert "s3cret" not in str(report)
    assert [one.rule for one in report.findings if one.checked], "the others are checked"


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(DataError, match=r"nothing could be checked: .* is not up"):
        check({}, dict.fromkeys(LOGICAL, "not up"))
    with pytest.raises(DataError, match=r"nothing could be checked.*cannot be reached") as gone:
        check({"promptads": ("postgresql", "postgresql://ana:s3cret@127.0.0.1:1/promptads")})
    assert "s3cret" not in str(gone.value)


def test_a_table_that_is_missing_does_not_keep_others_from_being_looked_at(giving: Giving, places: Places) -> None:
    with one_of_our_own(giving, places, "promptsales") as (database, among):
        with database.connect() as connection:
            connection.execute("DROP TABLE content_embedding; DROP TABLE content_month CASCADE")
        report = check(among)
    assert len(report.left_out) == 3
    assert all("does not exist" in line for line in report.left_out)
    assert next(one for one in report.findings if one.rule.startswith("a month is")).checked > 0


def test_empty_databases_agree_but_nothing_is_said_to_be_active(giving: Giving, places: Places) -> None:
    with giving.database("promptads", "empty") as database:
        report = check({"promptads": (database.engine, database.url)})
    assert any("there are no campaigns" in line for line in report.left_out)


def test_a_key_that_only_a_certificate_opens_is_left_out(giving: Giving, places: Places) -> None:
    with one_of_our_own(giving, places, "promptcrm") as (database, among):
        with database.connect() as connection:
            connection.execute("UPDATE data_key SET name = 'theirs'")
        report = check(among)
    assert any("only a certificate opens: set PROMPTCRM_CERTIFICATE" in line for line in report.left_out)
    assert report.coherent


# -- how it is shown


def test_as_a_table_and_as_json(places: Places) -> None:
    report = check(places)
    text = shown(report)
    for rule in RULES:
        assert rule.name in text
    told = json.loads(json.dumps(report_json(report)))
    assert told["coherent"] is True
    assert {"rule", "databases", "checked", "broken", "offenders"} == set(told["rules"][0])


def test_two_sides_are_walked_along_together() -> None:
    left = [(1, "a"), (3, "b"), (9, "c")]
    right = [(2, "x"), (3, "y")]
    walked = [(key, a is not None, b is not None) for key, a, b in merged(iter(left), iter(right), 1)]
    assert walked == [
        ((1,), True, False),
        ((2,), False, True),
        ((3,), True, True),
        ((9,), True, False),
    ]
    assert list(merged(iter([]), iter([]), 1)) == []
