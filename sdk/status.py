"""What a running `meritrec peer` says of itself, for another process to read: a small file in the device folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from p2p import NodeStatus
from sdk.errors import NotConnected

STATUS_FILE = "status.json"


_FIELDS = {
    *("at", "addresses", "peers", "records", "record_bytes", "distrusted", "shut_out", "accepted", "rejected"),
    *("requests_failed", "messages_in", "messages_out", "bytes_in", "bytes_out"),
}


def status_as_json(status: NodeStatus) -> dict[str, Any]:
    """Return a node's status in JSON's types; keys are hex."""
    counts = status.counters
    return {
        "peers": [peer.hex() for peer in status.peers],
        "records": status.records,
        "record_bytes": status.record_bytes,
        "distrusted": sorted(peer.hex() for peer in status.distrusted),
        "shut_out": [peer.hex() for peer in status.shut_out],
        "accepted": counts.accepted,
        "rejected": {reason.name.lower(): count for reason, count in counts.rejected.most_common() if count},
        "requests_failed": counts.requests_failed,
        "messages_in": counts.messages_in,
        "messages_out": counts.messages_out,
        "bytes_in": counts.bytes_in,
        "bytes_out": counts.bytes_out,
    }


def write_status(folder: Path, status: NodeStatus, addresses: list[str], now: float) -> None:
    """Write the file, whole or not at all."""
    content = {"at": int(now), "addresses": addresses, **status_as_json(status)}
    temporary = folder / f"{STATUS_FILE}.new"
    temporary.write_text(json.dumps(content))
    temporary.replace(folder / STATUS_FILE)


def remove_status(folder: Path) -> None:
    """Take the file away; harmless if there is none."""
    (folder / STATUS_FILE).unlink(missing_ok=True)


def read_status(folder: Path) -> dict[str, Any]:
    """Read what a running `meritrec peer` wrote last.

    Raises:
        NotConnected: none is running on this folder, or the file is damaged.
    """
    try:
        content = json.loads((folder / STATUS_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotConnected(f"no `meritrec peer` is running on {folder}; start one to see its status") from error
    except (ValueError, RecursionError) as error:
        raise NotConnected(f"the status of {folder} is damaged ({error}); the running peer writes it anew") from error
    if not isinstance(content, dict) or content.keys() != _FIELDS:
        raise NotConnected(f"the status of {folder} is of another version of meritrec; start the peer with this one")
    return content


def status_text(content: dict[str, Any], now: float) -> str:
    """Return a status for people to read."""
    refused = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in content["rejected"].items())
    lines = [
        ("as of", f"{max(0, int(now) - content['at'])} s ago"),
        ("addresses", "\n            ".join(content["addresses"]) or "none"),
        ("peers", f"{len(content['peers'])} connected" + "".join(f"\n            {peer}" for peer in content["peers"])),
        ("records", f"{content['records']} ({content['record_bytes'] / 1024:.1f} KiB), {content['accepted']} accepted"),
        (
            "traffic",
            f"{content['bytes_in'] / 1024:.1f} KiB in ({content['messages_in']} messages), "
            f"{content['bytes_out'] / 1024:.1f} KiB out ({content['messages_out']} messages)",
        ),
        ("refused", refused or "nothing"),
        ("failed", f"{content['requests_failed']} requests without a usable answer"),
        ("shut out", ", ".join(content["shut_out"]) or "nobody"),
        ("distrusted", ", ".join(content["distrusted"]) or "nobody"),
    ]
    return "\n".join(f"{name:<10}  {value}" for name, value in lines)
