"""The MCP SDK's own OAuth client against our issuer: a server that says 401 and where its issuer is, and no browser."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
import uvicorn
from mcp.server.auth.routes import create_protected_resource_routes
from mcp.server.auth.settings import AuthSettings
from sso_client import InMemory, oauth
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from harness.errors import TokenRefused
from harness.sso.serve import listen

pytestmark = pytest.mark.mcp


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
        storage = InMemory()
        auth = oauth(resource, storage, came)
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
