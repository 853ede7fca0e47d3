"""A real browser logs in: the page's policy lets it, and nothing else."""

from __future__ import annotations

import pytest
import uvicorn
from chromium import chromium
from sso_flow import PASSWORD, RESOURCE, Flow
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from harness.sso.serve import listen

pytestmark = pytest.mark.mcp


@pytest.fixture
def browser():
    with chromium() as made:
        yield made


@pytest.fixture
def client_url(run_app) -> str:
    """A program that waits for its code on a port of this machine; and a page that would frame somebody else's."""

    async def callback(request):
        return PlainTextResponse(f"came back with {sorted(request.query_params)}")

    async def frame(request):
        return HTMLResponse(f'<iframe src="{request.query_params["of"]}"></iframe>')

    listening = listen("127.0.0.1", 0)
    app = Starlette(routes=[Route("/callback", callback), Route("/frame", frame)])
    run_app(uvicorn.Config(app, log_level="error", lifespan="off"), listening)
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def flow(world, http, client_url) -> Flow:
    made = Flow(http, world.url)
    assert made.register(redirect_uris=[f"{client_url}/callback"]).status_code == 201
    return made


def start(flow: Flow, client_url: str) -> str:
    return str(flow.authorize(redirect_uri=f"{client_url}/callback", resource=RESOURCE).request.url)


def test_a_person_logs_in(browser, flow, client_url):
    page = browser.new_page()
    troubles: list[str] = []
    page.on(
        "console", lambda message: troubles.append(message.text) if "favicon" not in message.location["url"] else None
    )
    page.goto(start(flow, client_url))
    assert page.locator("h1").inner_text() == "Log in to PromptSales"
    page.fill("#email", "ana@example.com")
    page.fill("#password", "a wrong password")
    page.click("button")
    assert "That did not work" in page.locator("[role=alert]").inner_text()
    assert page.locator("#password").input_value() == ""
    page.fill("#email", "ana@example.com")
    page.fill("#password", PASSWORD)
    page.click("button")
    page.wait_for_url(f"{client_url}/callback*")
    assert page.locator("body").inner_text() == "came back with ['code', 'iss', 'state']"
    assert [line for line in troubles if "Content Security" in line or "Refused" in line] == []


def test_nobody_frames_the_page(browser, flow, client_url):
    page = browser.new_page()
    where = flow.authorize(redirect_uri=f"{client_url}/callback").headers["location"]
    page.goto(f"{client_url}/frame?of={where.replace('&', '%26')}")
    assert not any(frame.query_selector("#password") for frame in page.frames)


def test_a_hostile_name_runs_nothing(browser, flow, client_url):
    name = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    flow.register(redirect_uris=[f"{client_url}/callback"], client_name=name)
    page = browser.new_page()
    page.goto(start(flow, client_url))
    assert page.title() == "Log in to PromptSales"
    assert name in page.locator("main").inner_text()
