"""Schemathesis against the application, in this process, with a fixed seed: good and bad requests to everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from sdk import Recommender
from sdk.http_api import Access, create_app
from sdk.http_api.openapi import describe
from sdk.http_api.routes import ROUTES
from sdk.http_api.schemas import CATEGORY, ITEM, SOURCE
from tests.sdk.http_api.golden_device import BUNDLE, NOW, PINNED, TOKEN, URL

pytestmark = pytest.mark.slow
CONFIG = {
    "headers": {"Authorization": f"Bearer {TOKEN}"},
    "base-url": URL,
    "generation": {"mode": "all", "deterministic": True, "database": "none", "max-examples": 20},
}
KNOWN = [f"item-{n}" for n in range(5)]
OF_THE_MODEL = ("ask", "prior")  # which of these a model knows no description can say, and this one knows none


def _closer(value: Any) -> Any:
    """Describe a little less, so that the generator gets further: with items and categories that exist."""
    if value == ITEM:
        return {**value, "examples": KNOWN}
    if value == CATEGORY:
        return {"enum": ["drama", "comédie"]}  # a policy with an unknown one is refused
    if value == SOURCE:
        return {"enum": ["/nowhere/at/all", "/" + "x" * 4000]}  # no request leaves the process
    if isinstance(value, dict):
        return {name: _closer(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_closer(inner) for inner in value if not _is_of_the_model(inner)]
    return value


def _is_of_the_model(value: Any) -> bool:
    return isinstance(value, dict) and value.get("in") == "query" and value["name"] in OF_THE_MODEL


class _Later:
    """An application that is there once the fixture has made it; the cases are generated from the description alone."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("the fixture sees to that")
        await self.app(scope, receive, send)


served = _Later()
described = _closer(describe(ROUTES, "0"))
schema = schemathesis.openapi.from_dict(described, config=SchemathesisConfig.from_dict(CONFIG))
schema.app = served


@pytest.fixture(scope="module", autouse=True)
def _serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("fuzz") / "device"
    with Recommender.open(folder, bundle=BUNDLE, trusted_keys=[PINNED], clock=lambda: float(NOW)) as me:
        served.app = create_app(me, Access(TOKEN))
        with TestClient(served.app):
            yield


@schema.parametrize()
def test_the_api_is_as_described(case) -> None:
    case.call_and_validate()
