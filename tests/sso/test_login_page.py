"""The login page: what it carries, what it forbids, and who is kept out."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser

import httpx2
import pytest
from sso_flow import PASSWORD, REDIRECT, Flow, form_of, query_of

from harness.sso.page import Forms

pytestmark = pytest.mark.mcp


@pytest.fixture
def flow(world, http) -> Flow:
    return Flow(http, world.url)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_what_a_browser_may_do_with_it(flow):
    page = flow.page()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:7777;" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    cookie = page.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    tags = Tags(page.text)
    assert "script" not in tags.names
    assert not [name for name in tags.attributes if name.startswith("on") or name == "style"]


@pytest.mark.parametrize("uri", ["http://[::1]:5/x", "https://example.com:8443/a;b"])
def test_the_policy_lets_the_form_go_on_to_the_client(flow, uri):
    assert flow.register(redirect_uris=[uri]).status_code == 201
    policy = flow.page(redirect_uri=uri).headers["content-security-policy"]
    assert re.search(r"form-action 'self' (http:|https://example\.com:8443);", policy)


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "<b>x", '"><img src=x onerror=alert(1)>', "&lt;script&gt;", "' onfocus='alert(1)"],
)
def test_a_client_s_name_is_text(flow, name):
    assert flow.register(client_name=name).status_code == 201
    page = flow.page()
    plain = Flow(flow.http, flow.url)
    plain.register(client_name="plain")
    tags, expected = Tags(page.text), Tags(plain.page().text)
    assert tags.names == expected.names
    assert tags.attributes == expected.attributes


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ana@example.com", "wrong"),
        ("nobody@example.com", PASSWORD),
        ("ana@example.com", ""),
        ("", ""),
        ("\0", "\0"),
        ("ana@example.com", "x" * 5000),
        ("' OR true --", PASSWORD),
    ],
)
def test_errors_never_say_which_part_was_wrong(flow, email, password):
    answer = flow.submit(flow.page(), email, password)
    assert answer.status_code == 403
    assert "location" not in answer.headers
    shown = re.search(r'role="alert">([^<]+)<', answer.text)
    assert shown
    assert shown[1].startswith("That did not work: the e-mail address or the password is wrong")
    assert flow.submit(answer).status_code == 303  # the page that says so can be used


def test_a_disabled_identity_hears_the_same(world, flow):
    wrong = flow.submit(flow.page(), password="wrong password").text
    world.connection.execute("UPDATE identity SET disabled_at = now(), failed_attempts = 0")
    disabled = flow.submit(flow.page()).text
    assert re.sub(r'value="[^"]+"', "", disabled) == re.sub(r'value="[^"]+"', "", wrong)


def test_wrong_passwords_are_counted_and_lock(world, flow):
    page = flow.page()
    for count in range(1, 5):
        flow.submit(page, password="wrong password")
        assert world.connection.execute("SELECT failed_attempts FROM identity").fetchone() == (count,)
    flow.submit(page, password="wrong password")
    assert flow.submit(page).status_code == 403
    world.connection.execute("UPDATE identity SET locked_until = now() - interval '1 second'")
    assert flow.submit(page).status_code == 303


def test_a_form_needs_its_own_cookie(world, flow):
    page = flow.page()
    with httpx2.Client() as elsewhere:
        stranger = Flow(elsewhere, world.url, client=flow.client)
        assert stranger.submit(page).status_code == 403  # no cookie
        stranger.page()
        assert stranger.submit(page).status_code == 403  # the cookie of another form
    assert world.connection.execute("SELECT failed_attempts FROM identity").fetchone() == (0,)  # nothing was tried
    assert flow.submit(page).status_code == 303


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_that_another_page_sends(flow, site):
    assert flow.submit(flow.page(), headers={"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        lambda form: "",
        lambda form: "x",
        lambda form: "a.b",
        lambda form: form[:-1],
        lambda form: form + "x",
        lambda form: "x" + form,
        lambda form: form.split(".")[0] + ".é",
        lambda form: ".",
    ],
)
def test_a_form_that_we_have_not_signed(flow, change):
    page = flow.page()
    form = change(form_of(page))
    answer = flow.http.post(f"{flow.url}/login", data={"form": form, "email": "ana@example.com", "password": PASSWORD})
    assert answer.status_code == 403


def test_a_request_is_no_form_and_a_form_is_no_request(flow):
    where = flow.authorize().headers["location"]
    page = flow.http.get(where)
    request = where.partition("request=")[2]
    sent = {"form": request, "email": "ana@example.com", "password": PASSWORD}
    assert flow.http.post(f"{flow.url}/login", data=sent).status_code == 403
    assert flow.http.get(f"{flow.url}/login", params={"request": form_of(page)}).status_code == 400


@pytest.mark.parametrize("request_", ["", "x", "x.y", "\0", "é.é", "a" * 5000])
def test_a_page_that_nobody_asked_for(flow, request_):
    answer = flow.http.get(f"{flow.url}/login", params={"request": request_})
    assert answer.status_code == 400
    assert "too old" in answer.text


def test_a_form_grows_old(serve, http):
    world = serve(form=0)
    flow = Flow(http, world.url)
    assert flow.page().status_code == 400
    assert Forms(0).read("a", Forms(0).sign("a", {})) is None


def test_files_and_many_fields_are_no_form(flow):
    page = flow.page()
    files = {"form": ("x", form_of(page)), "email": ("x", "y"), "password": ("x", "y")}
    assert flow.http.post(f"{flow.url}/login", files=files).status_code in (400, 403)
    many = {f"f{n}": "x" for n in range(100)}
    assert flow.http.post(f"{flow.url}/login", data=many).status_code in (400, 403)


def test_a_flood_of_log_ins_is_turned_away_and_one_comes_in_afterwards(serve):
    world = serve(logins=1, waiting=3)

    async def flood() -> list[int]:
        async with httpx2.AsyncClient(follow_redirects=False, timeout=60) as client:
            with httpx2.Client(follow_redirects=False) as plain:
                flow = Flow(plain, world.url)
                page = flow.page()
                cookies = dict(plain.cookies)
            form = {"form": form_of(page), "email": "nobody@example.com", "password": PASSWORD}
            client.cookies.update(cookies)
            answers = await asyncio.gather(*(client.post(f"{world.url}/login", data=form) for _ in range(20)))
            return [answer.status_code for answer in answers]

    statuses = asyncio.run(flood())
    assert set(statuses) == {403, 503}
    assert statuses.count(403) >= 3
    with httpx2.Client(follow_redirects=False) as client:
        flow = Flow(client, world.url)
        answer = flow.submit(flow.page())
        assert query_of(answer)["code"]
        assert answer.headers["location"].startswith(REDIRECT)
