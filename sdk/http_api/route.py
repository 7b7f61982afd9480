"""What one operation of the API is: where, what it takes, what it answers, and the function that does it.

`routes` is the one table of these. The server, the checks of requests, the OpenAPI description and the table in the
documentation are all read from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sdk.recommender import Recommender

Json = Any
Schema = Mapping[str, Any]
JSON = "application/json"
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value in the path or the query; `schema` is a JSON Schema, an array where the name may be repeated.

    Those of the path are always required.
    """

    name: str
    where: Literal["path", "query"]
    schema: Schema
    summary: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """The checked values of one request."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Json = None


Run = Callable[[Recommender, Call], Json]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    Attributes:
        method: of HTTP.
        path: with `{name}` for every parameter in the path.
        name: the operation's id, unique.
        summary: one line.
        run: does it; called on a thread of its own, with checked values.
        parameters: of path and query; others are refused.
        body: JSON Schema of the request's body; None where it has none.
        answer: JSON Schema of the answer; None for 204, no content.
        media_type: of the answer.
        problems: statuses that this operation has beside those that all have.
        keyed: whether an `Idempotency-Key` makes a repeated request harmless.
        patience_s: seconds after which the client is told that the work goes on.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    name: str
    summary: str
    run: Run
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    answer: Schema | None = None
    media_type: str = JSON
    problems: tuple[int, ...] = ()
    keyed: bool = False
    patience_s: float = PATIENCE_S

    @property
    def success(self) -> int:
        """The status of the answer."""
        return 200 if self.answer is not None else 204

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status of a problem that this operation can have, in order."""
        own = {400, 401, 403, 500, 503, *self.problems}
        if self.parameters:
            own |= {422}
        if self.body is not None:
            own |= {408, 413, 415, 422}
        if self.keyed:
            own |= {409, 422}
        return tuple(sorted(own))

    def parameters_in(self, where: str) -> tuple[Parameter, ...]:
        """Return the parameters of the path or of the query."""
        return tuple(parameter for parameter in self.parameters if parameter.where == where)
