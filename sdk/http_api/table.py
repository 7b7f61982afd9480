"""`python -m sdk.http_api.table`: the operations as the table in `docs/http-api.md`, from the routes served."""

from __future__ import annotations

from collections.abc import Sequence

from sdk.http_api.route import Route
from sdk.http_api.routes import ROUTES

_HEAD = "| request | takes | what it does | problems |\n|---|---|---|---|\n"


def markdown(routes: Sequence[Route]) -> str:
    """Return a Markdown table, one row per operation."""
    return _HEAD + "".join(_row(route) for route in routes)


def _row(route: Route) -> str:
    query = ", ".join(f"`{p.name}`" + ("" if p.required else "?") for p in route.parameters_in("query"))
    takes = [query] if query else []
    if route.body is not None:
        takes.append("body `" + str(route.body["$ref"]).rsplit("/", 1)[-1] + "`")
    if route.keyed:
        takes.append("`Idempotency-Key`?")
    problems = ", ".join(str(status) for status in route.statuses)
    return f"| `{route.method} {route.path}` | {'; '.join(takes)} | {route.summary} | {problems} |\n"


if __name__ == "__main__":
    print(markdown(ROUTES), end="")
