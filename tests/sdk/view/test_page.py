"""The page in a real browser: every section, the switches, the keyboard, hostile text, and nothing that leaves here."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_runtime import CATALOG_FILE, Catalog
from p2p.bridge_hub import BridgeHub
from sdk import Recommender, RecommenderConfig, SharingPolicy
from sdk.sharing import SharingLevel
from sdk.view.api import ViewApi
from sdk.view.browser import opened_in_browser
from sdk.view.gate import Gate
from sdk.view.joining import Joining
from sdk.view.operations import Operations
from sdk.view.server import ViewServer
from tests.npm_packages import install_packages
from tests.sdk.view.webdriver import Browser, browser, missing_programs

pytestmark = pytest.mark.slow

NOW = 1_700_000_000
ROOMS = ("for-you", "people", "sharing", "network", "model", "data")
HOSTILE = (
    "<img src=x onerror=\"document.title='broken'\">",
    "<script>document.title='broken'</script>",
    "\u202egpj.exe\u202c \u2066 backwards",
    "A" * 1000,
    "\x00\x1b[31m\n\tcontrol",
    "javascript:document.title='broken'",
    "مرحبا (1999)",
    "Z" + "\u0335\u0321\u0327" * 80,
)
# Standards that a violation of would keep somebody out; "best-practice" adds landmarks, order of headings and labels.
AXE = """const done = arguments[arguments.length - 1];
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const told = ({id, impact, nodes}) => [id, impact, nodes.map((node) => node.html + " " + node.failureSummary)];
axe.run(document, {resultTypes: ["violations"], runOnly: rules}).then((result) => done(result.violations.map(told)));"""


@dataclass
class Shown:
    """A device, its page, and the browser that looks at it."""

    device: Recommender
    gate: Gate
    server: ViewServer
    browser: Browser

    def enter(self, room: str = "for-you") -> None:
        """Open a fresh link, in a tab that knows nothing yet."""
        self.browser.open("about:blank")
        self.browser.dress()
        self.browser.open(self.gate.link)
        self.go(room)

    def go(self, room: str) -> None:
        """Go to a section, by its link."""
        self.browser.click(f'#rooms a[href="#/{room}"]')
        self.settled(room)

    def settled(self, room: str) -> None:
        """Wait until a section is drawn."""
        self.browser.wait_until(
            "document.querySelector('section.' + arguments[0] + ' .body:not([aria-busy])') !== null", room
        )

    def says(self, text: str) -> None:
        """Wait until the live region, which screen readers read out, says something."""
        self.browser.wait_for_text("#toasts", text)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    missing = missing_programs() + [name for name in ("npm",) if shutil.which(name) is None]
    if missing:
        message = f"{', '.join(missing)} not found; Debian: apt-get install chromium chromium-driver npm"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def axe() -> str:
    return (install_packages(Path(__file__).parent) / "node_modules" / "axe-core" / "axe.min.js").read_text()


@contextmanager
def _serving(
    device: Recommender, chromium: Browser, connect: Callable[..., list[str]] | None = None
) -> Iterator[Shown]:
    chromium.open("about:blank")  # away from the page of the test before, whose server is gone
    chromium.requested()
    chromium.complaints()
    server = ViewServer(0)
    try:
        gate = Gate(server.authority)
        joining = Joining(connect or (lambda addresses, lan: device.connect(addresses, lan=lan)))
        operations = Operations(device, "my-device", joining, lambda: NOW)
        server.start(ViewApi(gate, operations.reads, operations.writes).answer)
        yield Shown(device, gate, server, chromium)
    finally:
        server.close()


@pytest.fixture
def alone(opened, chromium: Browser) -> Iterator[Shown]:
    """A new device: no history, no peers, no network."""
    with opened() as device, _serving(device, chromium) as shown:
        yield shown


@dataclass
class Friends:
    """Ann, whose page it is, and Ben, whom she vouches for and who likes something."""

    shown: Shown
    ben: Recommender


@pytest.fixture
def friends(opened, chromium: Browser) -> Iterator[Friends]:
    hub, network = BridgeHub(), RecommenderConfig(sharing=SharingPolicy.NETWORK)
    with (
        opened("ben", network, transport=lambda identity: hub.bridge("ben", identity)) as ben,
        opened("ann", transport=lambda identity: hub.bridge("ann", identity)) as ann,
    ):
        for item in ("item-7", "item-8"):
            ben.record(item, "buy")
        ben.connect(listen="ben")
        ann.record("item-3", "like")
        ann.vouch(ben.peer_id, 3)
        joined = lambda addresses, lan: ann.connect(addresses, listen="ann", lan=lan)  # noqa: E731
        with _serving(ann, chromium, joined) as shown:
            yield Friends(shown, ben)


def _nothing_left(shown: Shown) -> None:
    """Every request went to the page's own server, and the browser had nothing to complain about."""
    own = (f"http://{shown.server.authority}/", "about:", "blob:", "data:", "chrome:", "chrome-")
    assert [url for url in shown.browser.requested() if not url.startswith(own)] == []
    assert shown.browser.complaints() == []


def _nothing_left_but(shown: Shown, status: str) -> None:
    """As `_nothing_left`, after an answer of this status, which browsers note in their console."""
    assert [said for said in shown.browser.complaints() if f"status of {status}" not in said] == []
    _nothing_left(shown)


def _accessible(shown: Shown, axe: str) -> None:
    shown.browser.run(axe)
    assert shown.browser.run_async(AXE) == []


def test_every_section_of_a_device_with_friends_in_light_dark_and_on_a_phone(friends: Friends, axe: str) -> None:
    shown = friends.shown
    shown.device.connect(["ben"], listen="ann")
    shown.enter("people")
    shown.browser.wait_for_text("table.peers", friends.ben.peer_id.hex()[:8])
    shown.browser.find("svg.graph[role=img]")
    for dark, width in ((False, 1280), (True, 1280), (False, 320), (True, 320)):
        shown.browser.dress(dark=dark, width=width, height=800)
        for room in ROOMS:
            shown.go(room)
            for folded in shown.browser.run(
                "return [...document.querySelectorAll('details')].map((d) => d.open = true)"
            ):
                assert folded
            _accessible(shown, axe)
            wide, inner = shown.browser.run("return [document.documentElement.scrollWidth, innerWidth]")
            assert (wide, room) == (inner, room)
    _nothing_left(shown)
    shown.browser.run("document.querySelector('main').append(document.createElement('img'))")
    with pytest.raises(AssertionError, match="image-alt"):
        _accessible(shown, axe)


def test_every_section_of_a_new_device_says_what_to_do(alone: Shown, axe: str) -> None:
    alone.enter()
    alone.browser.wait_for_text("#chips", "Offline")
    assert len(alone.browser.run("return [...document.querySelectorAll('.pick')].map((p) => p.textContent)")) == 10
    alone.browser.click("label:has(input[value=peers])")
    alone.browser.wait_for_text(".picks", "Vouch for somebody")
    for room, helpful in (
        ("people", "You trust nobody yet"),
        ("sharing", "Nobody can see anything of you"),
        ("network", "go on working"),
        ("model", "What its publisher measured"),
        ("data", "Nothing was recorded yet"),
    ):
        alone.go(room)
        alone.browser.wait_for_text("main", helpful)
        _accessible(alone, axe)
    _nothing_left(alone)


def test_what_is_said_to_an_item_is_recorded_and_moves_the_list(alone: Shown) -> None:
    alone.enter()
    first = alone.browser.text(".pick h2")
    alone.browser.click(".pick .actions button:nth-child(1)")
    alone.says(f"{first}: You like this.")
    assert [event["title"] for event in alone.device.export_my_data()["events"]] == [first]
    second = alone.browser.text(".pick:nth-child(2) h2")
    alone.browser.click(".pick:nth-child(2) .actions button:nth-child(4)")
    alone.says(f"{second}: Not shown again.")
    alone.browser.click(".stale button")
    alone.browser.wait_until("document.querySelector('.stale').hidden")
    titles = alone.browser.run("return [...document.querySelectorAll('.pick h2')].map((h) => h.textContent)")
    assert {first, second}.isdisjoint(titles)
    alone.browser.click(".switches .switch:nth-child(2)")
    alone.browser.wait_for_text(".left-out", "you have seen it")
    alone.browser.wait_for_text(".left-out", "you do not want to see it")
    alone.browser.click(".filtered button")
    alone.says(f"{second} may be shown again.")
    assert alone.device.blocked_items() == []
    alone.browser.click(".switches .switch:nth-child(1)")
    alone.browser.wait_until(
        "[...document.querySelectorAll('.pick h2')].some((h) => h.textContent === arguments[0])", first
    )
    alone.browser.click(".pick .link")
    alone.browser.wait_for_text(".pick .more", "What is like it")
    assert alone.browser.run("return document.querySelector('.pick .link').ariaExpanded") == "true"


def test_trust_and_sharing_switches_reach_the_network(friends: Friends) -> None:
    shown, ben = friends.shown, friends.ben
    name = ben.peer_id.hex()[:8]
    shown.enter("network")
    shown.browser.type("#dial", "ben")
    shown.browser.click("form.panel button[type=submit]")
    shown.says("Connected.")
    shown.browser.wait_for_text("#chips", "Online, 1 peer")
    shown.browser.wait_until("document.querySelector('.facts').textContent.includes('Received')")

    shown.go("for-you")
    shown.browser.click("label:has(input[value=peers])")
    shown.browser.wait_for_text(".picks", f"our friend {name} likes this")

    shown.go("people")
    shown.browser.run(
        """const said = document.querySelector('table select');
        said.value = 'block'; said.dispatchEvent(new Event('change'));"""
    )
    shown.says("nobody is told")
    shown.browser.wait_for_text("table.peers", "you blocked them")
    shown.browser.find("svg.graph .node path.cross")
    assert shown.device.recommend(5, source="peers") == []
    shown.browser.type("#new-peer", ben.peer_id.hex())
    shown.browser.click("form.panel button[type=submit]")
    shown.says(f"You vouch for {name}")
    shown.browser.wait_for_text("table.peers", "you vouch for them")

    shown.go("sharing")
    shown.browser.wait_for_text(".columns", "Nobody can see anything of you")
    shown.browser.click("label:has(input[value=network])")
    shown.browser.click("form.panel button[type=submit]")
    shown.says("Saved.")
    shown.browser.wait_for_text(".columns", "Title 3")
    shown.browser.wait_for_text("#chips", "Shares items and people")
    shown.browser.click("section.sharing .row button:nth-child(1):not([type=submit])")
    shown.says("Published.")
    assert _eventually(shown.browser, lambda: ben.count_records() == 2)
    shown.browser.click("button.danger")
    shown.browser.click("#confirm-yes")
    shown.says("Withdrawn")
    shown.browser.wait_for_text("#chips", "Shares nothing")
    assert shown.device.shared().published.is_empty
    _nothing_left(shown)


def _eventually(waiting: Browser, condition: Callable[[], bool]) -> bool:
    waiting._wait(condition, "the other device was not told")
    return True


def test_every_field_of_the_policy_has_its_control(alone: Shown, axe: str) -> None:
    alone.enter("sharing")
    page = alone.browser
    page.click("label:has(input[value=items])")
    page.click(".fine .switches .switch:nth-child(1)")
    for number, value in enumerate(("9", "8", "7"), 1):
        page.run("document.querySelector(arguments[0]).value = ''", f".fine > .fields label:nth-child({number}) input")
        page.type(f".fine > .fields label:nth-child({number}) input", value)
    page.click(".fine > .fields select")
    page.press("Down", "Enter")
    page.click(".fine > div:not([class]) .switch")
    page.wait_until("!document.querySelector('.fine > div:not([class]) .fields').hidden")
    for number, value in enumerate(("2.5", "0.25", "12", "60"), 1):
        field = f".fine > div:not([class]) .fields label:nth-child({number}) input"
        page.run("document.querySelector(arguments[0]).value = ''", field)
        page.type(field, value)
    page.click(".lists summary")
    for number, value in enumerate(("item-1\n item-2\n\n", "tens", "even\nodd"), 1):
        page.type(f".lists .area:nth-of-type({number}) textarea", value)
    _accessible(alone, axe)
    page.click("form.panel button[type=submit]")
    alone.says("Saved.")
    assert alone.device.sharing == SharingPolicy(
        level=SharingLevel.ITEMS,
        actions=frozenset({"view", "like", "save", "buy"}),
        categories=frozenset({"even", "odd"}),
        deny_categories=frozenset({"tens"}),
        deny_items=frozenset({"item-1", "item-2"}),
        max_items=9,
        new_per_epoch=8,
        max_vouches=7,
        epoch_days=7,
        epsilon=2.5,
        truth=0.25,
        made_up=12,
        renew_days=60,
    )
    page.click("label:has(input[value=private])")
    page.click("form.panel button[type=submit]")
    alone.says("Nothing new will be shared.")
    assert alone.device.sharing.level is SharingLevel.PRIVATE
    assert alone.device.sharing.deny_items == {"item-1", "item-2"}


def test_everything_can_be_done_with_the_keyboard(alone: Shown) -> None:
    alone.enter()
    chrome = alone.browser

    def focused() -> Any:
        return chrome.run("return document.activeElement.textContent.trim() || document.activeElement.value")

    chrome.run("document.activeElement.blur(); document.getSelection().removeAllRanges()")
    alone.browser.open("about:blank")
    alone.browser.open(alone.gate.link)
    alone.settled("for-you")
    chrome.press("Tab")
    assert focused() == "Skip to the content"
    assert chrome.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    chrome.press("Enter", "Tab")
    assert focused() == "blend"
    chrome.press("Right")
    chrome.wait_until("document.querySelector('input[value=model]').checked")
    chrome.wait_until("document.querySelector('[aria-busy]') === null")
    chrome.press("Tab", "Tab", "Space")
    chrome.wait_until("!document.querySelector('.left-out').hidden && document.querySelector('[aria-busy]') === null")
    chrome.press("Tab")
    assert focused() == "Like"
    chrome.press("Enter")
    alone.says("You like this.")
    assert focused() == "Like"
    assert alone.device.count_events() == 1

    chrome.run("document.querySelector('#rooms a[href=\"#/data\"]').focus()")
    chrome.press("Enter")
    alone.settled("data")
    assert focused() == "Your data"
    chrome.run("document.querySelector('.panel.edge button').focus()")
    chrome.press("Enter")
    chrome.wait_until("document.querySelector('dialog').open")
    chrome.press("Escape")
    chrome.wait_until("!document.querySelector('dialog').open")
    assert focused() == "Forget everything"
    assert alone.device.count_events() == 1


def test_a_model_is_updated_and_rolled_back(alone: Shown, newer_bundle) -> None:
    alone.enter("model")
    assert alone.browser.run("return document.querySelector('form button.quiet').disabled") is True
    alone.browser.type("#source", str(newer_bundle(2)))
    alone.browser.click("form button[type=submit]")
    alone.says("Model 2 ranks now.")
    alone.browser.wait_for_text("#chips", "Model 2")
    alone.browser.wait_until("!document.querySelector('form button.quiet').disabled")
    alone.browser.click("form button.quiet")
    alone.browser.click("#confirm-yes")
    alone.says("Model 1 ranks now.")
    assert alone.device.model.version == 1
    alone.browser.type("#source", str(newer_bundle(2)))
    alone.browser.click("form button[type=submit]")
    alone.says("That did not work.")
    _nothing_left_but(alone, "409")


def test_data_can_be_taken_along_and_forgotten(alone: Shown) -> None:
    for item in ("item-1", "item-2"):
        alone.device.record(item)
    alone.enter("data")
    alone.browser.click("section.panel:nth-of-type(3) button")
    alone.says("meritrec-export.json")
    saved = alone.browser.downloads / "meritrec-export.json"
    _eventually(alone.browser, saved.exists)
    assert json.loads(saved.read_text())["events"] == alone.device.export_my_data()["events"]
    alone.browser.click("section.panel:nth-of-type(1) button")
    alone.browser.wait_for_text(".entries", "Title 2")
    alone.browser.click(".entries li:nth-child(1) button")
    alone.browser.click("#confirm-yes")
    alone.says("Forgotten: 1 event of Title 2.")
    assert alone.device.count_events() == 1
    alone.browser.click(".panel.edge button")
    assert alone.browser.run("return document.getElementById('confirm-yes').disabled") is True
    alone.browser.type("#confirm-typed input", "forget")
    alone.browser.click("#confirm-yes")
    alone.says("Forgotten: 1 event")
    assert alone.device.count_events() == 0


def test_text_from_elsewhere_stays_text(opened, chromium: Browser, tiny_publisher, newer_bundle, axe: str) -> None:
    catalog = Catalog.from_bytes(tiny_publisher.contents[CATALOG_FILE])
    titles = [HOSTILE[n % len(HOSTILE)] for n in range(len(catalog))]
    features = catalog.features_of(np.arange(len(catalog)))
    hostile = Catalog.build(list(catalog.ids), catalog.codes, catalog.codebook_size, titles, features)
    bundle = newer_bundle(2, contents={CATALOG_FILE: hostile.to_bytes()})
    with opened() as device, _serving(device, chromium) as shown:
        device.update(bundle)
        for item in list(catalog.ids)[:10]:
            device.record(item)
        shown.enter()
        shown.browser.click(".switches .switch:nth-child(2)")
        shown.browser.wait_for_text(".left-out", "you have seen it")
        shown.browser.dress(width=320, height=800)
        texts = shown.browser.run("return [...document.querySelectorAll('.foreign')].map((f) => f.textContent).join()")
        assert "<script>" in texts
        assert "\u202e" not in texts
        assert shown.browser.run("return document.querySelectorAll('main img, main script').length") == 0
        assert shown.browser.run("return document.documentElement.scrollWidth <= innerWidth")
        assert shown.browser.run("return document.title") == "For you · meritrec"
        _accessible(shown, axe)
        _nothing_left(shown)


def test_a_link_opens_one_tab_and_the_key_outlives_a_reload(alone: Shown) -> None:
    link = alone.gate.link
    alone.enter()
    assert "token" not in alone.browser.run("return location.href")
    alone.browser.run("location.reload()")
    alone.settled("for-you")
    alone.browser.run("sessionStorage.clear()")
    alone.browser.open("about:blank")
    alone.browser.open(link)
    alone.browser.wait_for_text("main", "This page is locked")
    assert alone.browser.run("return document.getElementById('rooms').hidden")
    alone.browser.open("about:blank")
    alone.browser.open(f"http://{alone.server.authority}/")
    alone.browser.wait_for_text("main", "open the link that it printed last")
    alone.browser.complaints()


def test_the_file_that_a_browser_is_given_leads_to_the_page(alone: Shown, tmp_path: Path) -> None:
    with opened_in_browser(alone.gate.link, tmp_path, lambda address: alone.browser.open(address) is None) as could:
        assert could
        alone.settled("for-you")
        assert alone.browser.run("return location.href") == f"http://{alone.server.authority}/"


def test_a_page_whose_device_is_gone_says_so(alone: Shown) -> None:
    alone.enter()
    alone.server.close()
    alone.browser.click('#rooms a[href="#/model"]')
    alone.browser.wait_for_text("main", "start it again and open the link it prints")
    alone.browser.complaints()
