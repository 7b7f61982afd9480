"""What an app on Android may call by name: the methods of `Recommender`, with JSON in and out.

A call's arguments are the keyword arguments of the method of that name here. Keys of peers are hex. What is not as
described is refused before anything happens.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from device_runtime import Ask
from sdk.errors import InvalidInput
from sdk.filters import Filters
from sdk.recommender import Recommender
from sdk.sharing import SharingPolicy
from sdk.status import status_as_json

Json = Any


class Calls:
    """The calls on an opened device; each returns what JSON can say."""

    def __init__(self, me: Recommender) -> None:
        self._me = me

    # -- what the person does --------------------------------------------------------------------

    def record(self, item: str, action: str = "like", at: int | None = None) -> Json:
        """Store one event."""
        self._me.record(item, action, at=at)

    def record_many(self, events: list[Json]) -> Json:
        """Store `[item, action, at]` events, all of them or none; `at` may be null."""
        self._me.record_many([_event(event) for event in events])

    def block_item(self, item: str) -> Json:
        """Never show an item again."""
        self._me.block_item(item)

    def unblock_item(self, item: str) -> Json:
        """Take that back; says whether there was one."""
        return self._me.unblock_item(item)

    def blocked_items(self) -> Json:
        """Their ids."""
        return self._me.blocked_items()

    def forget(self, item: str | None = None, everything: bool = False) -> Json:
        """Remove what was recorded about an item, or everything."""
        return self._me.forget(item, everything=everything).as_json()

    def export_my_data(self) -> Json:
        """Everything that the device holds about the person."""
        return self._me.export_my_data()

    # -- what the person gets --------------------------------------------------------------------

    def recommend(
        self,
        k: int = 10,
        source: str = "blend",
        exclude_seen: bool = True,
        filters: dict[str, Json] | None = None,
        diversity: float = 0.0,
        explore: float = 0.0,
        ask: dict[str, Json] | None = None,
        priors: dict[str, Json] | None = None,
        now: int | None = None,
    ) -> Json:
        """A ranking with reasons; `filters` has the fields of `Filters`, `ask` those of `Ask`."""
        picks = self._me.recommend(
            k,
            source=source,  # type: ignore[arg-type]  # checked there
            exclude_seen=exclude_seen,
            filters=_filters(filters),
            diversity=diversity,
            explore=explore,
            ask=_ask(ask),
            priors=priors,
            now=now,
        )
        return [pick.as_json() for pick in picks]

    def steerable(self) -> Json:
        """What `ask` and `priors` may name, and the weights that priors have where a call says nothing."""
        return self._me.steerable().as_json()

    def similar(self, item: str, k: int = 10, filters: dict[str, Json] | None = None) -> Json:
        """Items like one."""
        return [pick.as_json() for pick in self._me.similar(item, k, filters=_filters(filters))]

    def explain(self, item: str) -> Json:
        """Reasons for one item."""
        return [reason.as_json() for reason in self._me.explain(item)]

    def filtered(self, k: int = 20, filters: dict[str, Json] | None = None) -> Json:
        """What a ranking kept out, and why."""
        return [item.as_json() for item in self._me.filtered(k, filters=_filters(filters))]

    # -- peers -----------------------------------------------------------------------------------

    def peer_id(self) -> Json:
        """This device's public key."""
        return self._me.peer_id.hex()

    def vouch(self, peer: str, level: int = 2) -> Json:
        """Trust a peer."""
        self._me.vouch(_peer(peer), level)

    def block(self, peer: str) -> Json:
        """Cut a peer off."""
        self._me.block(_peer(peer))

    def unvouch(self, peer: str) -> Json:
        """Take a vouch or a block back; says whether there was one."""
        return self._me.unvouch(_peer(peer))

    def opinions(self) -> Json:
        """Whom the person vouches for (level 1 to 3) and cut off (level below 0)."""
        return [{"peer": o.peer.hex(), "level": o.level, "at": o.at} for o in self._me.opinions()]

    def trust_graph(self, limit: int = 100) -> Json:
        """The most trusted peers and who vouches for whom."""
        return self._me.trust_graph(limit).as_json()

    def connect(self, peers: list[str] | None = None, listen: str = "android") -> Json:
        """Join the network over the carrier: dial `peers`, publish what the policy allows; returns the addresses."""
        if not all(isinstance(address, str) for address in peers or ()):
            raise InvalidInput("peers must be a list of addresses that the carrier understands")
        return self._me.connect(peers or (), listen=listen)

    def publish(self) -> Json:
        """Tell peers what the policy allows; says whether there was anything new."""
        return self._me.publish()

    def network_status(self) -> Json:
        """Counts of peers, records and traffic."""
        return status_as_json(self._me.network_status())

    def sharing(self) -> Json:
        """The policy that holds."""
        return self._me.sharing.as_json()

    def set_sharing(self, policy: str | dict[str, Json]) -> Json:
        """Choose what is shared: a preset's name, or the fields of `SharingPolicy`; returns what `shared` does."""
        return self._me.set_sharing(SharingPolicy.from_json(policy)).as_json()

    def shared(self) -> Json:
        """What was published, what would be now, and what is held back and why."""
        return self._me.shared().as_json()

    def withdraw(self) -> Json:
        """Be private and take everything back; says whether nothing is published any more."""
        return self._me.withdraw()

    # -- the model -------------------------------------------------------------------------------

    def model(self) -> Json:
        """The model in use."""
        return self._me.model.as_json()

    def update(self, source: str | None = None, peer: str | None = None, sha256: str | None = None) -> Json:
        """Install a newer model or an update of the catalog: from a path or web address, or from a connected peer."""
        if (source is None) is (peer is None):
            raise InvalidInput("update: say either source, a path or web address, or peer")
        found = source if source is not None else _peer(peer or "")
        return self._me.update(found, sha256=sha256).as_json()

    def rollback(self) -> Json:
        """Go back to the model before."""
        return self._me.rollback().as_json()

    def metrics(self) -> Json:
        """Counts, durations, memory."""
        return self._me.metrics().as_json()


CALLS: Mapping[str, Callable[..., Json]] = {
    name: method for name, method in vars(Calls).items() if inspect.isfunction(method) and not name.startswith("_")
}


def arguments_of(function: Callable[..., Any], text: str, *bound: object) -> dict[str, Json]:
    """Read a JSON object as the arguments of a function, by name and type.

    Args:
        function: annotated with JSON's types.
        text: from the app.
        bound: positional arguments that it gets besides.

    Raises:
        InvalidInput: it is no JSON object, an argument is missing or unknown, or has another type.
    """
    try:
        given = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"arguments must be a JSON object ({error})") from error
    if not isinstance(given, dict):
        raise InvalidInput(f"arguments must be a JSON object, got {type(given).__name__}")
    try:
        inspect.signature(function).bind(*bound, **given)
    except TypeError as error:
        raise InvalidInput(f"{function.__name__}: {error}") from error
    hints = get_type_hints(function)
    for name, value in given.items():
        if not _fits(value, hints[name]):
            raise InvalidInput(f"{function.__name__}: {name} is {_shown(value)}, expected {_named(hints[name])}")
    return given


def _fits(value: Json, hint: Any) -> bool:
    """Whether a JSON value is of an annotated type; true and false are no numbers."""
    for option in _options(hint):
        wanted = get_origin(option) or option
        if isinstance(value, bool):
            matches = wanted is bool
        else:
            matches = isinstance(value, int | float if wanted is float else wanted)
        if matches:
            return True
    return False


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _named(hint: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
    return " or ".join(
        names.get(option) or {list: "a list", dict: "an object"}[get_origin(option)] for option in _options(hint)
    )


def _shown(value: Json) -> str:
    return json.dumps(value)[:80]


def _no_number(text: str) -> Json:
    raise ValueError(f"{text} is no number of JSON's")


def _event(row: Json) -> tuple[str, str, int | None]:
    if not isinstance(row, list) or len(row) != 3:
        raise InvalidInput(f"an event is [item, action, at], got {_shown(row)}")
    item, action, at = row
    if not _fits(item, str) or not _fits(action, str) or not _fits(at, int | None):
        raise InvalidInput(f"an event is [text, text, Unix seconds or null], got {_shown(row)}")
    return item, action, at


def _filters(given: dict[str, Json] | None) -> Filters | None:
    if given is None:
        return None
    try:
        return Filters(**given)
    except TypeError as error:
        raise InvalidInput(f"filters: {error}") from error


def _ask(given: dict[str, Json] | None) -> Ask | None:
    if given is None:
        return None
    try:
        return Ask(**given)
    except TypeError as error:
        raise InvalidInput(f"ask: {error}") from error


def _peer(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise InvalidInput(f"a peer is named by 64 hex digits, got {_shown(text)}") from error
