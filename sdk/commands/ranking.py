"""`recommend` and `similar`: what the person gets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sdk.commands.frame import Subparsers, add_command, add_json, open_device, print_result
from sdk.filters import Filters
from sdk.recommendation import Filtered, Recommendation
from sdk.wishes import asked, weighted


def add_recommend(subparsers: Subparsers) -> None:
    """Add `meritrec recommend`."""
    parser = add_command(subparsers, "recommend", "print the ranking with its reasons", recommend)
    parser.add_argument("-k", type=int, default=10, help="how many (default: 10)")
    parser.add_argument(
        "--source",
        choices=("blend", "model", "peers"),
        default="blend",
        help="both lists in one, or one of them alone (default: %(default)s)",
    )
    parser.add_argument("--with-seen", action="store_true", help="keep items of the person's own history")
    _add_filters(parser)
    parser.add_argument(
        "--diversity", type=float, default=0.0, metavar="SHARE", help="0 to 1: how much variety counts (default: 0)"
    )
    parser.add_argument(
        "--explore", type=float, default=0.0, metavar="SHARE", help="0 to 1: places kept for trying (default: 0)"
    )
    parser.add_argument(
        "--ask",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="ask the model for more or less, 0 to 1, such as novelty=0.9; repeatable",
    )
    parser.add_argument(
        "--prior",
        action="append",
        default=[],
        metavar="NAME=WEIGHT",
        help="weigh an adapter head, such as short=1 or taxonomy:Horror=2; repeatable",
    )
    parser.add_argument(
        "--show-filtered", action="store_true", help="also print what was kept out, up to K of each kind, and why"
    )
    add_json(parser)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--category", action="append", metavar="NAME", help="only items of it; repeatable")
    parser.add_argument("--not-category", action="append", default=[], metavar="NAME", help="none of it; repeatable")


def _filters(arguments: argparse.Namespace) -> Filters:
    return Filters(categories=arguments.category, not_categories=arguments.not_category)


def recommend(arguments: argparse.Namespace) -> None:
    """Print the ranking, and what was kept out of it if asked for."""
    filters = _filters(arguments)
    with open_device(arguments.device) as device:
        picks = device.recommend(
            arguments.k,
            source=arguments.source,
            exclude_seen=not arguments.with_seen,
            filters=filters,
            diversity=arguments.diversity,
            explore=arguments.explore,
            ask=asked("--ask", arguments.ask),
            priors=weighted("--prior", arguments.prior),
        )
        kept_out = device.filtered(arguments.k, filters=filters) if arguments.show_filtered else None
    content: object = [pick.as_json() for pick in picks]
    if kept_out is not None:
        content = {"recommended": content, "filtered": [item.as_json() for item in kept_out]}
    print_result(content, arguments.json, lambda: _ranking_text(picks) + _kept_out_text(kept_out))


def add_similar(subparsers: Subparsers) -> None:
    """Add `meritrec similar`."""
    parser = add_command(subparsers, "similar", "print the items that resemble one", similar)
    parser.add_argument("item", help="item id of the catalog")
    parser.add_argument("-k", type=int, default=10, help="how many (default: 10)")
    _add_filters(parser)
    add_json(parser)


def similar(arguments: argparse.Namespace) -> None:
    """Print what resembles an item."""
    with open_device(arguments.device) as device:
        picks = device.similar(arguments.item, arguments.k, filters=_filters(arguments))
    print_result([pick.as_json() for pick in picks], arguments.json, lambda: _ranking_text(picks))


def _ranking_text(picks: Sequence[Recommendation]) -> str:
    if not picks:
        return "nothing to recommend yet: record some events, or vouch for a peer and join the network"
    lines = []
    for rank, pick in enumerate(picks, 1):
        lines.append(f"{rank:3d}. {pick.title}  [{pick.item}]")
        lines += [f"     {reason.text}" for reason in pick.reasons]
    return "\n".join(lines)


def _kept_out_text(items: Sequence[Filtered] | None) -> str:
    if items is None:
        return ""
    lines = [f"\n     {item.title}  [{item.item}]  {item.text}" for item in items]
    return "\n\nkept out:" + ("".join(lines) or " nothing")
