"""The MCP SDK's own OAuth client against our issuer: a server that says 401 and where its issuer is, and no browser."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import uvicorn
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.server.auth.routes import create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from sso_flow import PASSWORD, REDIRECT, form_of
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from harness.errors import TokenRefused
from harness.sso.serve import listen

pytestmark = pytest.mark.mcp


class InMemory(TokenStorage):
    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


def test_it_registers_logs_in_and_refreshes(world, run_app):
    listening = listen("127.0.0.1", 0)
    resource = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    verifier = world.verifier(audiences=(resource,))

    def answer(request):
        try:
            caller = verifier.verify(request.headers.get("authorization", "").removeprefix("Bearer "))
        except TokenRefused:
            where = resource.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
            return JSONResponse({}, 401, {"www-authenticate": f'Bearer resource_metadata="{where}"'})
        return JSONResponse({"name": caller.name, "roles": sorted(caller.roles)})

    settings = AuthSettings(issuer_url=world.url, resource_server_url=resource, validate_token_resource=True)
    routes = create_protected_resource_routes(settings.resource_server_url, [settings.issuer_url])
    app = Starlette(routes=[Route("/mcp", answer), *routes])
    run_app(uvicorn.Config(app, log_level="warning", lifespan="off"), listening)

    async def run() -> None:
        came: list[str] = []

        async def open_browser(url: str) -> None:
            async with httpx2.AsyncClient(follow_redirects=True) as browser:
                page = await browser.get(url)
                form = {"form": form_of(page), "email": "ana@example.com", "password": PASSWORD}
                answer = await browser.post(f"{world.url}/login", data=form, follow_redirects=False)
                came.append(answer.headers["location"])

        async def callback() -> AuthorizationCodeResult:
            given = parse_qs(urlsplit(came[-1]).query)
            return AuthorizationCodeResult(code=given["code"][0], state=given["state"][0], iss=given["iss"][0])

        storage = InMemory()
        auth = OAuthClientProvider(
            server_url=resource,
            client_metadata=OAuthClientMetadata(client_name="the SDK", redirect_uris=[AnyUrl(REDIRECT)]),
            storage=storage,
            redirect_handler=open_browser,
            callback_handler=callback,
        )
        async with httpx2.AsyncClient(auth=auth) as client:
            first = await client.get(resource)
            assert first.json() == {"name": "ana@example.com", "roles": ["analyst", "reader"]}
            assert storage.tokens is not None
            before = storage.tokens.access_token
            auth.context.token_expiry_time = 1.0  # so it refreshes
            second = await client.get(resource)
            assert second.status_code == 200
            assert storage.tokens.access_token != before
            assert len(came) == 1

    asyncio.run(run())
