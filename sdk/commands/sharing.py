"""`meritrec sharing`: what has been published, what will be, what is held back and why; and changing that."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

from sdk.commands.frame import Subparsers, add_command, add_json, open_device, print_result
from sdk.device_folder import DeviceSettings
from sdk.publication import Publication, Shared, Withheld
from sdk.sharing import POLICY_FIELDS, SharingPolicy

_LISTED = 10
_EPOCH = date(1970, 1, 1)


def add_sharing(subparsers: Subparsers) -> None:
    """Add `meritrec sharing`."""
    summary = "show what has been and will be published, and change or withdraw it"
    parser = add_command(subparsers, "sharing", summary, sharing)
    parser.epilog = "Without options it shows. What changes is told when the device joins the network next."
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help=f"change the policy; repeatable; lists by commas, `none` for nothing: {', '.join(POLICY_FIELDS)}",
    )
    choice.add_argument("--withdraw", action="store_true", help="be private, and take everything back")
    parser.add_argument("--show", action="store_true", help="after a change, show everything too")
    add_json(parser)


def sharing(arguments: argparse.Namespace) -> None:
    """Change or withdraw, if asked to, and show."""
    settings = DeviceSettings.load(arguments.device)
    changes = arguments.withdraw or bool(arguments.set)
    with open_device(arguments.device) as device:
        if arguments.withdraw:
            device.withdraw()
        elif arguments.set:
            device.set_sharing(device.sharing.changed(arguments.set))
        publication = device.shared()
    if changes:
        replace(settings, sharing=publication.policy).save(arguments.device)
    brief = changes and not arguments.show
    text = _brief if brief else publication_text
    print_result(publication.as_json(), arguments.json, lambda: text(publication))


def publication_text(publication: Publication) -> str:
    """Return everything for a person to read."""
    return "\n".join(_lines(publication))


def _brief(publication: Publication) -> str:
    return "\n".join([*_policy_lines(publication.policy), _state(publication)])


def _lines(publication: Publication) -> Iterator[str]:
    where = publication.community or "the community without a name"
    yield f"in {where} this device is peer {publication.peer.hex()}"
    yield from _policy_lines(publication.policy)
    if publication.epsilon_spent:
        yield f"random answers have cost ε = {publication.epsilon_spent:g} about one item, at most"
    yield ""
    published = publication.published
    yield (
        f"published on {_day(published.day)} as version {published.version}:"
        if published.version
        else "published: nothing yet"
    )
    yield from _content(published)
    if publication.pending:
        yield ""
        yield "will be published instead, when the device joins the network:"
        yield from _content(publication.would_publish)
    yield ""
    yield _state(publication)
    if publication.ever_told:
        yield f"told before, and perhaps kept by peers: {_some(publication.ever_told)}"
    yield from _withheld_lines(publication.withheld)


def _policy_lines(policy: SharingPolicy) -> Iterator[str]:
    usual = SharingPolicy().as_json()
    content = policy.as_json()
    changed = [f"{name}={_value(value)}" for name, value in content.items() if name != "level" and value != usual[name]]
    yield f"policy: {policy.level.value}" + (f" ({', '.join(changed)})" if changed else "")


def _value(value: object) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _state(publication: Publication) -> str:
    if not publication.pending:
        return "peers know what the policy tells, and nothing else"
    if publication.would_publish.is_empty:
        return "everything is taken back as soon as the device joins the network"
    return "the change is told as soon as the device joins the network"


def _content(shared: Shared) -> Iterator[str]:
    for item in sorted(shared.items, key=lambda item: (-item.edge.level, -item.edge.day, str(item.item))):
        name = item.item or f"an item with the key {item.edge.key.hex()}"
        mark = "  (not liked: peers cannot tell)" if item.made_up else ""
        yield f"  level {item.edge.level}  {_day(item.edge.day)}  {name}{mark}"
    for edge in shared.vouches:
        yield f"  vouch {edge.level}  {edge.peer.hex()}"
    if shared.is_empty:
        yield "  nothing"


def _withheld_lines(withheld: tuple[Withheld, ...]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for held in withheld:
        by_reason[held.why.value].append(held.item if held.peer is None else held.peer.hex()[:16])  # type: ignore[arg-type]
    if by_reason:
        yield "held back:"
    for reason, names in by_reason.items():
        yield f"  {reason}: {_some(names)}"


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _day(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()
