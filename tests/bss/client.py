"""Who asks the API of an office, without a network."""
from __future__ import annotations

import asyncio
from typing import Any

import httpx

from bss.office import Office
from tests.bss.conftest import served


class Client:
    """Asks the application as a browser would, without a network."""

    def __init__(self, office: Office, token: str) -> None:
        self._app, self._token = served(office), token

    def _ask(self, method: str, path: str, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
        async def one() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://bss") as client:
                return await client.request(method, path, headers={"Authorization": f"Bearer {self._token}", **(headers or {})}, **given)
        return asyncio.run(one())

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self._ask("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self._ask("POST", path, **given)

    def patch(self, path: str, **given: Any) -> httpx.Response:
        return self._ask("PATCH", path, **given)
