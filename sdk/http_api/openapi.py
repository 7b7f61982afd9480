"""The API's description (OpenAPI 3.1), made from the table of routes that also serves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sdk.http_api.access import PUBLIC_PATHS
from sdk.http_api.problems import MEDIA_TYPE, TITLES
from sdk.http_api.route import JSON, Json, Parameter, Route
from sdk.http_api.schemas import COMPONENTS, reference

_ABOUT = """Recommendations that belong to the person who receives them, over HTTP on this machine.

Errors are `application/problem+json` (RFC 9457); `detail` says what is wrong and what to do. Times are Unix seconds,
peers their public keys in hex, items the ids of the model's catalog."""
IDEMPOTENCY_KEY = "Idempotency-Key"
KEY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}


def describe(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Return the OpenAPI document of a table of routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "meritrec",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    if route.parameters or route.keyed:
        operation["parameters"] = [_parameter(parameter) for parameter in route.parameters]
    if route.keyed:
        operation["parameters"].append(
            {
                "name": IDEMPOTENCY_KEY,
                "in": "header",
                "required": False,
                "schema": KEY_SCHEMA,
                "description": "a request sent again with the same key is not done again",
            }
        )
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": route.body}}}
    operation["responses"] = _responses(route)
    if route.path in PUBLIC_PATHS:
        operation["security"] = []
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required or parameter.where == "path",
        "description": parameter.summary,
        "schema": parameter.schema,
    }


def _responses(route: Route) -> dict[str, Any]:
    done: Json = {"description": route.summary}
    if route.answer is not None:
        done["content"] = {route.media_type: {"schema": route.answer}}
    problem = {MEDIA_TYPE: {"schema": reference("Problem")}}
    responses = {str(status): {"description": TITLES[status], "content": problem} for status in route.statuses}
    return {str(route.success): done, **responses}
