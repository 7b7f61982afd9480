"""A real browser, headless, driven over WebDriver: what the tests of the page need of it and no more.

Chromium's own driver (Debian: chromium-driver) is one small program and speaks HTTP, so no further package is needed.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    # Nothing but this machine has a name or a way out, so a request that escaped the page's policy would fail here too.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PATIENCE_S = 60.0
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Space": " ",
    "Escape": "\ue00c",
    "Right": "\ue014",
    "Down": "\ue015",
    "Shift": "\ue008",
}


def missing_programs() -> list[str]:
    """Return what is not installed of what a browser test needs."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class BrowserError(AssertionError):
    """The browser did not do what it was told, or the page did not become what was expected."""


class Browser:
    """One browser session.

    Args:
        endpoint: of the driver, `http://127.0.0.1:PORT`.
        profile: an empty folder for the browser's own files; downloads go there too.
    """

    def __init__(self, endpoint: str, profile: Path) -> None:
        self._endpoint = endpoint
        self.downloads = profile / "downloads"
        arguments = [*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"]
        options = {
            "args": arguments,
            "binary": shutil.which("chromium"),
            "prefs": {"download.default_directory": str(self.downloads)},
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._endpoint + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            said = json.load(error)["value"]
            raise BrowserError(f"{said['error']}: {said['message'].splitlines()[0]}") from None

    def _do(self, method: str, path: str, body: object = None) -> Any:
        return self._call(method, self._session + path, body)

    def open(self, url: str) -> None:
        """Go to an address."""
        self._do("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page, as the browser's own (the page's policy does not hold for it)."""
        return self._do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str, *arguments: object) -> Any:
        """Run JavaScript that calls its last argument with the result."""
        return self._do("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def devtools(self, command: str, **parameters: object) -> Any:
        """Give a command of the DevTools protocol."""
        return self._do("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def dress(self, *, dark: bool = False, width: int = 1280, height: int = 900, calm: bool = True) -> None:
        """Choose colour scheme, size of the window, and whether motion is reduced."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.devtools("Emulation.setEmulatedMedia", features=features)
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def find(self, selector: str) -> str:
        """Wait for an element and return a reference to it."""
        return self._wait(lambda: self._do("POST", "/element", _css(selector))[_ELEMENT], f"no element {selector}")

    def click(self, selector: str) -> None:
        """Click on an element as a person would: it has to be in sight and under nothing else."""
        self._wait(
            lambda: self._do("POST", f"/element/{self.find(selector)}/click", {}) is None, f"cannot click on {selector}"
        )

    def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        self._do("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def press(self, *keys: str) -> None:
        """Press keys one after another; with Shift first, the others while it is held."""
        held = keys[0] == "Shift"
        steps = [{"type": "keyDown", "value": KEYS["Shift"]}] if held else []
        for key in keys[held:]:
            steps += [{"type": kind, "value": KEYS[key]} for kind in ("keyDown", "keyUp")]
        if held:
            steps.append({"type": "keyUp", "value": KEYS["Shift"]})
        self._do("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": steps}]})

    def text(self, selector: str) -> str:
        """Return the text of an element as it is shown."""
        return str(self._do("GET", f"/element/{self.find(selector)}/text"))

    def wait_for_text(self, selector: str, wanted: str) -> str:
        """Wait until an element shows a text, and return all of what it shows."""
        shown: list[str] = []

        def is_there() -> bool:
            shown.append(self.text(selector))
            return wanted in shown[-1]

        self._wait(is_there, f"{selector} does not show {wanted!r}; it shows", shown)
        return shown[-1]

    def wait_until(self, script: str, *arguments: object) -> None:
        """Wait until JavaScript returns something true."""
        self._wait(lambda: self.run(f"return {script}", *arguments), f"never true: {script}")

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Save what is shown as PNG, the whole length of the page by default."""
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        options = {"clip": clip, "captureBeyondViewport": True} if whole else {}
        path.write_bytes(base64.b64decode(self.devtools("Page.captureScreenshot", format="png", **options)["data"]))

    def requested(self) -> list[str]:
        """Return the addresses of all requests since the last call, the failed ones included."""
        messages = (json.loads(entry["message"])["message"] for entry in self._log("performance"))
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """Return what the browser's console said since the last call: errors, refused loads, broken policies."""
        return [entry["message"] for entry in self._log("browser")]

    def _log(self, kind: str) -> Any:
        return self._do("POST", "/se/log", {"type": kind})

    def quit(self) -> None:
        """Close the browser."""
        self._do("DELETE", "")

    @staticmethod
    def _wait(attempt: Any, failure: str, shown: list[str] | None = None) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if result := attempt():
                    return result
                why = ""
            except BrowserError as error:
                why = str(error)
            if time.monotonic() > deadline:
                raise BrowserError(f"{failure} {shown[-1] if shown else ''} {why}")
            time.sleep(0.02)


def _css(selector: str) -> dict[str, str]:
    return {"using": "css selector", "value": selector}


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a driver and a browser, and end both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "driver.log").open("w") as log:
        driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=log, stderr=log)
    try:
        opened = _opened(f"http://127.0.0.1:{port}", folder / "profile", folder / "driver.log")
        try:
            yield opened
        finally:
            opened.quit()
    finally:
        driver.terminate()
        driver.wait(PATIENCE_S)


def _opened(endpoint: str, profile: Path, log: Path) -> Browser:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return Browser(endpoint, profile)
        except urllib.error.URLError as error:
            if time.monotonic() > deadline:
                raise BrowserError(f"the driver does not answer: {error}; it said {log.read_text()}") from error
            time.sleep(0.02)
