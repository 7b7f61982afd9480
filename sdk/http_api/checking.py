"""Requests made safe: bytes to JSON, text to numbers, and both against the schemas that describe the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl

import fastjsonschema

from sdk.http_api.problems import Fault, Problem
from sdk.http_api.route import Call, Json, Parameter, Route, Schema
from sdk.http_api.schemas import COMPONENTS

_DIALECT = "http://json-schema.org/draft-07/schema#"  # what we use of 2020-12 means the same in it
_MAX_QUERY_VALUES = 2048
_EXACT = 1 << 53
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}

Check = Callable[[Any], Any]


def compile_check(schema: Schema, name: str) -> Callable[[Json], None]:
    """Return a function that raises `Problem` 422 for a value that the schema does not allow.

    Args:
        schema: may refer to named schemas.
        name: what to call the value.
    """
    check = fastjsonschema.compile(
        {"$schema": _DIALECT, "allOf": [dict(schema)], "components": {"schemas": COMPONENTS}}, use_default=False
    )

    def checked(value: Json) -> None:
        try:
            check(value, name_prefix=name)
        except fastjsonschema.JsonSchemaValueException as error:
            where = ".".join([name, *(str(step) for step in error.path[1:])])
            message = error.message.removeprefix(str(error.name)).strip()
            raise Problem(
                422, "invalid-input", f"{error.message}; /openapi.json describes it", (Fault(where, message),)
            ) from error

    return checked


class RequestChecks:
    """Everything that one route demands of a request."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._path = compile_check(_object_of(route.parameters_in("path")), "path")
        self._query = compile_check(_object_of(route.parameters_in("query")), "query")
        self._body = None if route.body is None else compile_check(route.body, "body")

    def call(self, path: Mapping[str, str], query: bytes, body: bytes) -> Call:
        """Return the values of a request.

        Args:
            path: parameters of the path, decoded.
            query: what stands after the question mark.
            body: as it came.

        Raises:
            Problem: 400 for what cannot be read, 422 for what is not as described.
        """
        values = parse_query(query, self._route.parameters_in("query"))
        self._path(dict(path))
        self._query(values)
        if self._body is None:
            return Call(path, values)
        content = parse_json(body)
        self._body(content)
        return Call(path, values, content)


def _object_of(parameters: tuple[Parameter, ...]) -> Schema:
    return {
        "type": "object",
        "properties": {parameter.name: dict(parameter.schema) for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.required],
        "additionalProperties": False,
    }


def parse_json(body: bytes) -> Json:
    """Read JSON as RFC 8259 has it: UTF-8, finite numbers, each name once.

    Raises:
        Problem: 400.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_each_once)
        if "\\u" in text:  # an escaped half of a surrogate pair is no text that can be stored
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Problem(400, "malformed", f"the body is not JSON in UTF-8: {reason}") from error
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:20]} is out of range")
    # JSON has one kind of number: 5.0 is as whole as 5.
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _each_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return content


def parse_query(query: bytes, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """Read a query; text that is no value of a parameter's type stays text, for the schema to refuse.

    Raises:
        Problem: 400 for what is not percent-encoded UTF-8, 422 for a single value given twice.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_VALUES
        )
    except ValueError as error:
        raise Problem(400, "malformed", f"the query cannot be read: {error}") from error
    schemas = {parameter.name: parameter.schema for parameter in parameters}
    values: dict[str, Any] = {}
    for name, text in pairs:
        schema = schemas.get(name, {})
        if schema.get("type") == "array":
            values.setdefault(name, []).append(_typed(text, schema["items"]))
        elif name in values:
            fault = Fault(f"query.{name}", "is given twice")
            raise Problem(422, "invalid-input", f"query.{name} is given twice; give it once", (fault,))
        else:
            values[name] = _typed(text, schema)
    return values


def _typed(text: str, schema: Schema) -> Json:
    match schema.get("type"):
        case "integer" if _INTEGER.fullmatch(text):
            return int(text)
        case "number" if _NUMBER.fullmatch(text) and isfinite(float(text)):
            return float(text)
        case "boolean":
            return _BOOLEANS.get(text, text)
    return text
