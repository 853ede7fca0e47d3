"""The MCP SDK's own OAuth client, with somebody who fills in the log-in page instead of a browser."""

from __future__ import annotations

from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from sso_flow import PASSWORD, REDIRECT, form_of


class InMemory(TokenStorage):
    """What a client keeps."""

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


def oauth(resource: str, storage: InMemory, came: list[str], email: str = "ana@example.com") -> OAuthClientProvider:
    """Logs ``email`` in for a server when it is asked to; ``came``: where the issuer has sent the browser then."""

    async def open_browser(url: str) -> None:
        async with httpx2.AsyncClient(follow_redirects=True) as browser:
            page = await browser.get(url)
            form = {"form": form_of(page), "email": email, "password": PASSWORD}
            answer = await browser.post(urljoin(str(page.url), "login"), data=form, follow_redirects=False)
            came.append(answer.headers["location"])

    async def callback() -> AuthorizationCodeResult:
        given = parse_qs(urlsplit(came[-1]).query)
        return AuthorizationCodeResult(code=given["code"][0], state=given["state"][0], iss=given["iss"][0])

    return OAuthClientProvider(
        server_url=resource,
        client_metadata=OAuthClientMetadata(client_name="the SDK", redirect_uris=[AnyUrl(REDIRECT)]),
        storage=storage,
        redirect_handler=open_browser,
        callback_handler=callback,
    )
