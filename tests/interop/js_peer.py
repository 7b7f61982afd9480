"""A js-libp2p peer as a subprocess: it takes commands as lines of JSON, and tells of events in the same way."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCRIPTS = ("peer.mjs", "polyfill.mjs", "wire.mjs")
PATIENCE_S = 30.0

Event = dict[str, Any]


def missing_tools() -> list[str]:
    """Return what is not installed of what a JavaScript peer needs."""
    return [tool for tool in ("node", "npm") if shutil.which(tool) is None]


class JsPeer:
    """A running JavaScript peer.

    Args:
        packages: folder with its npm packages.
        folder: an empty one for its scripts, because Node looks for packages beside them.

    Attributes:
        key: its Ed25519 public key.
        address: where it may be dialled.
    """

    def __init__(self, packages: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "node_modules").symlink_to(packages / "node_modules")
        for name in SCRIPTS:
            shutil.copy(HERE / name, folder)
        self._errors = folder / "stderr.txt"
        self._events: list[Event] = []
        self._ended = False
        self._changed = threading.Condition()
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                ["node", "peer.mjs"],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
            )
        self._reader = threading.Thread(target=self._read, name="js-peer-reader", daemon=True)
        self._reader.start()
        try:
            ready = self.wait("ready")
        except AssertionError:
            self.close()
            raise
        self.key = bytes.fromhex(ready["key"])
        self.address: str = ready["address"]

    def command(self, command: str, **details: object) -> Event:
        """Let it do something, and return what it says when that is done."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended, and `wait` tells why
            self._process.stdin.write(json.dumps({"command": command, **details}) + "\n")
        return self.wait("done", command=command)

    def wait(self, event: str, **details: object) -> Event:
        """Return the first event of this kind with these details, and forget it.

        Raises:
            AssertionError: none came in time, something failed in the peer, or it ended.
        """
        wanted = {"event": event, **details}

        def settled() -> bool:
            return self._ended or any(wanted.items() <= e.items() or e["event"] == "failed" for e in self._events)

        with self._changed:
            self._changed.wait_for(settled, PATIENCE_S)
            for index, happened in enumerate(self._events):
                if wanted.items() <= happened.items():
                    return self._events.pop(index)
            raise AssertionError(f"no {wanted}; it told {self._events}, and on stderr:\n{self._errors.read_text()}")

    def close(self) -> None:
        """Kill it, whatever it is doing."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # a command that it did not live to read
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                with self._changed:
                    self._events.append(json.loads(line))
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
