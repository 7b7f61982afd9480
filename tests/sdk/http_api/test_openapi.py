"""The description, the table in the documentation and what is served are one."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema_rs
import pytest

from sdk.http_api.openapi import describe
from sdk.http_api.problems import MEDIA_TYPE
from sdk.http_api.routes import ROUTES
from sdk.http_api.schemas import COMPONENTS
from sdk.http_api.table import markdown

DOCS = Path(__file__).parents[3] / "docs" / "http-api.md"


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(inner) for inner in value.values()))
    return set().union(*(_references(inner) for inner in value)) if isinstance(value, list | tuple) else set()


def test_what_is_served_is_what_the_routes_describe(client) -> None:
    served = client.get("/openapi.json").json()
    assert served == describe(ROUTES, served["info"]["version"])
    operations = [op for path in served["paths"].values() for op in path.values()]
    assert len(operations) == len(ROUTES)
    assert len({op["operationId"] for op in operations}) == len(ROUTES)
    assert all(op["summary"] and op["responses"] for op in operations)
    open_to_all = {path for path, ops in served["paths"].items() for op in ops.values() if op.get("security") == []}
    assert open_to_all == {"/healthz", "/openapi.json"}


def test_every_reference_leads_somewhere_and_every_schema_is_used(client) -> None:
    served = client.get("/openapi.json").json()
    assert {ref.rsplit("/", 1)[-1] for ref in _references(served)} == set(COMPONENTS)
    for schema in COMPONENTS.values():
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_every_parameter_in_a_path_is_described() -> None:
    for route in ROUTES:
        in_path = {parameter.name for parameter in route.parameters_in("path")}
        assert set(re.findall(r"\{(\w+)\}", route.path)) == in_path


def test_every_problem_is_described_as_one() -> None:
    for route in ROUTES:
        responses = describe([route], "0")["paths"][route.path][route.method.lower()]["responses"]
        assert {int(status) for status in responses} == {route.success, *route.statuses}
        assert all(MEDIA_TYPE in responses[str(status)]["content"] for status in route.statuses)


def test_the_documentation_has_the_table() -> None:
    assert markdown(ROUTES) in DOCS.read_text(), "put what `python -m sdk.http_api.table` prints into docs/http-api.md"


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_no_object_takes_what_is_not_described(name: str) -> None:
    schema = COMPONENTS[name]
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
