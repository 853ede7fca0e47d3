"""Logins on MongoDB: on SecantusDB, which asks for passwords, and against a fake of the driver what only MongoDB does."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest
from login_makers import killed_maker
from polling import eventually
from pymongo.errors import OperationFailure

from harness.errors import DataError, LoginRefused, ServerError, ServerUnavailable, SourceError
from harness.mcp.promptcontent import CONTENT, open_toolset
from harness.promptsales.content import contents, write_contents
from harness.servers import logins_mongodb, secantus
from harness.servers.base import Target
from harness.servers.logins import logins
from harness.servers.logins_mongodb import FILE, MongoDBLogin, _groups, mongodb_login, privileges
from harness.servers.roles import with_login
from harness.sso.model import Caller

pytestmark = pytest.mark.mcp

GROUP = "promptcontent_mcp"


def name() -> str:
    return f"psh_mcp_{secrets.token_hex(6)}"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the module's own that asks for a password, and its database ``shop``."""
    pids: list[int] = []
    try:
        made = secantus.start(tmp_path_factory.mktemp("secantus"), pids.append, ["127.0.0.1"])
    except ServerUnavailable as error:
        pytest.skip(str(error))
    made = made.replace("/?", "/shop?authSource=admin&")
    with pymongo.MongoClient[dict[str, Any]](made) as client:
        client["shop"]["content"].insert_one({"_id": 1})
        client["other"]["content"].insert_one({"_id": 1})
    yield made
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def admin(url: str) -> Iterator[Any]:
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        yield client["shop"]


def users(admin: Any) -> set[str]:
    return {user["user"] for user in admin.command("usersInfo", 1)["users"]}


def test_a_login_reads_and_is_gone_afterwards(url: str, admin: Any) -> None:
    login = name()
    with mongodb_login(url, login, GROUP) as own:
        assert users(admin) == {login}
        assert urlsplit(own).username == login
        assert str(urlsplit(url).password) not in own
        with pymongo.MongoClient[dict[str, Any]](own) as client:
            shop = client["shop"]
            assert shop["content"].find_one() == {"_id": 1}
            refused = [
                lambda: shop["content"].insert_one({"_id": 2}),
                lambda: shop["content"].update_one({}, {"$set": {"a": 1}}),
                lambda: shop["content"].delete_one({}),
                lambda: list(shop["content"].aggregate([{"$out": "copy"}])),
                lambda: list(shop["content"].aggregate([{"$merge": "copy"}])),
                lambda: shop["content"].create_index("a"),
                lambda: shop["content"].drop(),
                lambda: shop.list_collection_names(),
                lambda: client["other"]["content"].find_one(),
                lambda: shop.command("createUser", "more", pwd="x", roles=[]),
                lambda: shop.command("usersInfo", 1),
                lambda: client["admin"].command("currentOp"),
            ]
            for ask in refused:
                with pytest.raises(OperationFailure) as why:
                    ask()
                assert why.value.code == 13
    assert users(admin) == set()
    assert admin["content"].find_one() == {"_id": 1}
    with (
        pymongo.MongoClient[dict[str, Any]](own) as client,
        pytest.raises(OperationFailure, match="authentication failed"),
    ):
        client["shop"]["content"].find_one()


def test_the_tools_of_promptcontent_need_no_more(url: str, admin: Any) -> None:
    """By the one door, and the login that the door gives."""
    shop = url.replace("/shop?", "/pictures_shop?")
    made = [one for one in contents(7, 1, 4) if one.status == "published"]
    write_contents(admin.client["pictures_shop"], made)
    target = Target("promptcontent", "mongodb", shop, stand_in="mongodb")
    reader = Caller("local.test", "test@example.com", frozenset({"reader"}), "test")
    with logins({"promptcontent": target}, [CONTENT], "psh_mcp_", valid=None) as entered:
        assert entered.own == (CONTENT,)
        entered.keep()
        assert entered.troubles == ()
        tools = open_toolset(entered.targets)
        assert {one.content_id for one in tools.popular_images(reader).items} == {one.id for one in made}
        assert tools.find_images_by_hashtag(reader, made[0].hashtags[0]).items
        assert tools.hashtags(reader).items
        assert tools.image(reader, made[0].id) == made[0].picture()
        tools.close()
        late = open_toolset(entered.targets)
    with pytest.raises(SourceError, match="does not let this server in"):
        late.popular_images(reader)
    late.close()


def test_the_role_is_what_the_file_says_however_it_was(url: str, admin: Any) -> None:
    with contextlib.suppress(OperationFailure):
        admin.command("dropRole", GROUP)
    everything = [{"resource": {"db": "shop", "collection": ""}, "actions": ["find", "insert"]}]
    admin.command("createRole", GROUP, privileges=everything, roles=[])
    with mongodb_login(url, name(), GROUP):
        (role,) = admin.command({"rolesInfo": {"role": GROUP, "db": "shop"}, "showPrivileges": True})["roles"]
        assert role["privileges"] == privileges(GROUP, "shop")
        assert role["roles"] == []


def test_what_a_killed_maker_left_is_swept_and_no_more(url: str, admin: Any) -> None:
    mine, left, other = name(), name(), f"psh_etl_{secrets.token_hex(6)}"
    admin.command("createUser", other, pwd="x", roles=[])
    with (
        killed_maker("harness.servers.logins_mongodb:mongodb_login", url, left, GROUP) as kill,
        mongodb_login(url, mine, GROUP),
    ):
        assert {left, mine} <= users(admin), "its maker is connected"
        kill()
        eventually(lambda: f"psh:{left}/admin" not in (logins_mongodb._connected(admin.client) or set()))
        with mongodb_login(url, name(), GROUP):
            assert left not in users(admin)
            assert {mine, other} <= users(admin)
    admin.command("dropUser", other)


def test_a_server_that_has_forgotten_it_is_told_again(url: str, admin: Any) -> None:
    made = MongoDBLogin(url, name(), GROUP)
    with made as own:
        admin.command("dropUser", made._name)
        made.keep()
        with pymongo.MongoClient[dict[str, Any]](own) as client:
            assert client["shop"]["content"].find_one() == {"_id": 1}
    made.keep()
    assert users(admin) == set(), "it is over"


def test_a_login_that_may_make_none_is_told(url: str, admin: Any) -> None:
    admin.command("createUser", "plain", pwd="not-shown", roles=["read"])
    plain = with_login(url, "plain", "not-shown").replace("authSource=admin", "authSource=shop")
    for wrong, match in (
        (plain, "may not make users"),
        (plain.replace("not-shown", "wrong"), "refuses the URL's login"),
    ):
        with pytest.raises(LoginRefused, match=match) as why, mongodb_login(wrong, name(), GROUP):
            raise AssertionError("made")
        assert "not-shown" not in str(why.value)
    admin.command("dropUser", "plain")


def test_where_nobody_is_asked_for_a_login_none_is_made() -> None:
    with pytest.raises(LoginRefused, match="asks nobody for a login"), mongodb_login("mongodb://db/x", name(), GROUP):
        raise AssertionError("made")


@pytest.mark.parametrize("bad", ["mongodb://u:hunter2@a:b:c/", "mongodb+srv://u:hunter2@h:1/", "mongodb://u:hunter2@/"])
def test_a_url_that_is_none(bad: str) -> None:
    with pytest.raises(LoginRefused, match="not a URL of MongoDB") as why, mongodb_login(bad, name(), GROUP):
        raise AssertionError("made")
    assert "hunter2" not in str(why.value)


@pytest.mark.parametrize("kind", ["nobody listens", "nobody answers"])
def test_a_server_that_does_not_answer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins_mongodb, "_MILLISECONDS", 300)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if kind == "nobody answers":
            listening.listen()
        made = mongodb_login(f"mongodb://u:hunter2@127.0.0.1:{listening.getsockname()[1]}/x", name(), GROUP)
        with pytest.raises(ServerError, match=r"^the server does not answer$") as why:
            made.__enter__()
        assert not isinstance(why.value, LoginRefused)
        made.__exit__(None, None, None)


def test_the_role_reads_three_collections_and_nothing_else() -> None:
    assert privileges(GROUP, "shop") == [
        {"resource": {"db": "shop", "collection": collection}, "actions": ["find"]}
        for collection in ("content", "pictures.files", "pictures.chunks")
    ]


def test_a_group_or_a_file_that_is_not_right(tmp_path: Path) -> None:
    with pytest.raises(LoginRefused, match="knows no group"):
        privileges("promptcontent_mpc", "shop")
    for number, text in enumerate(("[", "- a", "a: {}", "a: {'': [find]}", "a: {content: find}", "a: {content: []}")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        with pytest.raises(DataError, match=r"\.yaml: "):
            privileges("a", "shop", file)
    assert set(_groups(FILE)) == {GROUP}


def test_the_url_keeps_its_hosts_and_options() -> None:
    url = "mongodb://root:hunter2@a:1,b:2/shop?replicaSet=rs&authSource=admin&authMechanism=SCRAM-SHA-1&tls=true"
    made = MongoDBLogin(url, "psh_mcp_x", GROUP)
    assert made.url.endswith("@a:1,b:2/shop?replicaSet=rs&tls=true&authSource=shop")
    assert "hunter2" not in made.url
    assert made._password not in repr(made)


# -- MongoDB itself: a fake of the driver


class Fake:
    """Answers commands by their name; an exception is raised."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.users: list[str] = []
        self.operations: Any = []
        self.admin = self
        self.client = self

    def __getitem__(self, database: str) -> Fake:
        return self

    def aggregate(self, stages: list[Any]) -> Any:
        self.said.append(("aggregate", stages))
        if isinstance(self.operations, Exception):
            raise self.operations
        return self.operations

    def command(self, what: str, value: Any = 1, **more: Any) -> Any:
        self.said.append((what, value, more))
        if what == "usersInfo":
            return {"users": [{"user": one} for one in self.users if value in (1, one)]}
        return {"ok": 1}

    def close(self) -> None:
        self.said.append(("close", None))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(pymongo, "MongoClient", lambda *words, **options: made)
    return made


URL = "mongodb://root:hunter2@db/shop"
DEAD, ALIVE, MINE = (f"psh_mcp_{letter * 12}" for letter in "abc")


def test_idle_makers_are_alive(fake: Fake) -> None:
    """$currentOp shows an idle connection by its appName, without an opid; that of this question has one."""
    fake.users = [DEAD, ALIVE, "psh_mcp_x", f"psh_etl_{'a' * 12}"]
    fake.operations = [
        {"type": "op", "opid": 7, "appName": f"psh:{MINE}/admin", "active": True},
        {"type": "idleSession", "appName": f"psh:{ALIVE}/admin", "active": False},
    ]
    with mongodb_login(URL, MINE, GROUP):
        pass
    dropped = [value for what, value, *_ in fake.said if what == "dropUser"]
    assert dropped == [DEAD, MINE]
    assert [words[0] for words in fake.said if words[0].startswith("create")] == ["createRole", "createUser"]
    assert fake.said[-1] == ("close", None)


def test_who_is_not_told_of_others_sweeps_nobody(fake: Fake) -> None:
    fake.users = [DEAD, ALIVE]
    fake.operations = OperationFailure("not authorized on admin to execute command", 13)
    with mongodb_login(URL, MINE, GROUP):
        pass
    assert [value for what, value, *_ in fake.said if what == "dropUser"] == [MINE]
