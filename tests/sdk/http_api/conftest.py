"""The application over a real Recommender with the golden bundle, called without a socket."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from sdk import Recommender
from sdk.http_api import Access, HttpLimits, create_app
from tests.sdk.http_api.golden_device import BUNDLE, NOW, PINNED, TOKEN, URL


def _clock() -> float:
    return float(NOW)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device with its model installed, closed; installing tries the model in another process, once is enough."""
    folder = tmp_path_factory.mktemp("http-api") / "device"
    Recommender.open(folder, bundle=BUNDLE, trusted_keys=[PINNED], clock=_clock).close()
    return folder


@pytest.fixture
def me(tmp_path: Path, prepared: Path) -> Iterator[Recommender]:
    folder = shutil.copytree(prepared, tmp_path / "device")
    with Recommender.open(folder, trusted_keys=[PINNED], clock=_clock) as device:
        yield device


Caller = Callable[..., TestClient]


@pytest.fixture
def call(me: Recommender) -> Iterator[Caller]:
    """Returns a function that makes a client of an application with the given access and limits."""
    opened: list[TestClient] = []

    def make(
        access: Access | None = None, limits: HttpLimits | None = None, *, token: str | None = TOKEN
    ) -> TestClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        app = create_app(me, access or Access(TOKEN), limits)
        opened.append(TestClient(app, base_url=URL, headers=headers))
        return opened[-1].__enter__()

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(call: Caller) -> TestClient:
    return call()
