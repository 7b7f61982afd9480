"""The device over HTTP on this machine, for programs in other languages: `meritrec serve` (extra `http`).

`create_app` makes the ASGI application over one `Recommender`; `GET /openapi.json` describes it.
"""

from sdk.http_api.access import Access
from sdk.http_api.app import HttpLimits, create_app

__all__ = ["Access", "HttpLimits", "create_app"]
