"""`python -m examples.edge_box DEVICE`: the edge box as a plain process; the service is in `meritrec.service`.

Makes the device at the first start, then serves it. Options that it does not know itself go to `meritrec serve`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path

from sdk.cli import main as meritrec

_SETTINGS = ("MERITREC_BUNDLE", "MERITREC_PUBLISHER", "MERITREC_SHARING", "MERITREC_SERVE_OPTIONS")


def main() -> int:
    """Run the box and return the exit code: 0 ended by SIGTERM, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    arguments, options = _parser().parse_known_args()
    try:
        settings = dict.fromkeys(_SETTINGS, "") | (read_settings(arguments.config) if arguments.config else {})
    except (OSError, ValueError) as error:
        print(f"edge_box: {error}", file=sys.stderr)
        return 1
    if not (arguments.device / "settings.json").exists():
        bundle = arguments.bundle or settings["MERITREC_BUNDLE"]
        publisher = arguments.trust_key or settings["MERITREC_PUBLISHER"]
        if not bundle or not publisher:
            print("edge_box: the first start needs --bundle and --trust-key, or a --config with both", file=sys.stderr)
            return 1
        sharing = settings["MERITREC_SHARING"] or "private"
        made = ["init", str(arguments.device), "--bundle", bundle, "--trust-key", publisher, "--sharing", sharing]
        with redirect_stdout(sys.stderr):  # stdout is for what the served device says
            failed = meritrec(made)
        if failed != 0:
            return failed
    options = [*shlex.split(settings["MERITREC_SERVE_OPTIONS"]), *options]
    return meritrec(["serve", str(arguments.device), *options])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.edge_box",
        description="A device as a plain process, for programs in any language.",
        epilog="Further options are those of `meritrec serve`.",
        allow_abbrev=False,
    )
    parser.add_argument("device", type=Path, help="device folder, made at the first start")
    parser.add_argument("--config", type=Path, help="settings as in edge-box.env")
    parser.add_argument("--bundle", help="model bundle, a folder or a zip")
    parser.add_argument("--trust-key", metavar="HEX", help="public key of its publisher")
    return parser


def read_settings(path: Path) -> dict[str, str]:
    """Read KEY=VALUE lines as systemd's EnvironmentFile does, without its continuation lines.

    Raises:
        ValueError: a line is none, or names no setting.
    """
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        name, equals, value = line.partition("=")
        if not equals or name not in _SETTINGS:
            raise ValueError(f"{path} line {number} is none of {', '.join(_SETTINGS)} followed by = and a value")
        found[name] = value.strip().strip("\"'")
    return found


if __name__ == "__main__":
    sys.exit(main())
