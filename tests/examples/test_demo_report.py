"""The report: well-formed, self-contained, safe with hostile text, whole or absent; and a real browser agrees."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.demo.report import write_report
from examples.demo.report_html import Html, el, html, listed, percent, some

HOSTILE = "<script>alert('x')</script> & \"quotes\""
SECTIONS = ("glance", "quality", "network", "lists", "attack", "devices", "made")
OPTIONAL = {"url", "spam_share_by_device", "fooled"}
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=5000",
    "--enable-logging=stderr",
    "--hide-scrollbars",
    "--window-size=1280,2000",
]
# Loads the page into a frame of a phone's width, opens what is folded, and writes down how wide it came out.
MEASURE = """<!doctype html><body><iframe id="f" style="width:390px;height:800px;border:0" srcdoc="PAGE"></iframe>
<script>
document.getElementById('f').onload = (event) => {
  const inner = event.target.contentDocument;
  inner.querySelectorAll('details').forEach((folded) => { folded.open = true; });
  document.body.dataset.measured = inner.documentElement.scrollWidth + ' of ' + inner.documentElement.clientWidth;
};
</script></body>"""


class Page(HTMLParser):
    """Fails on a tag that is not closed in order; collects ids, tags, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.handle_startendtag(tag, attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def _written(tmp_path: Path, results: dict[str, Any]) -> str:
    path = tmp_path / "report.html"
    write_report(results, path)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_the_page_is_complete_and_asks_for_nothing(tmp_path: Path, results) -> None:
    source = _written(tmp_path, results)
    page = Page(source)
    ids = page.values("id")
    assert set(SECTIONS) <= set(ids)
    assert len(ids) == len(set(ids))
    assert set(page.tags).isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base"})
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name in ("src", "style")]
    assert [value for value in page.values("href") if not value.startswith("#")] == []
    assert {value[1:] for value in page.values("href")} <= set(ids)
    assert set(re.findall(r"url\((.)", source)) <= {"#"}
    assert "@import" not in source
    policy = next(value for value in page.values("content") if "default-src" in value)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_the_page_is_readable_without_seeing_it(tmp_path: Path, results) -> None:
    source = _written(tmp_path, results)
    page = Page(source)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.tags.count("table") == page.tags.count("caption")
    ids = page.values("id")
    for drawing in re.findall(r"<svg.*?</svg>", source, flags=re.DOTALL):
        root = ElementTree.fromstring(drawing)
        if root.get("aria-hidden") == "true":
            continue
        assert root.get("role") == "img"
        assert {(child.tag, bool(child.text)) for child in root[:2]} == {("title", True), ("desc", True)}
        assert [child.get("id") for child in root[:2]] == root.get("aria-labelledby", "").split()
    assert all(key in ids for value in page.values("aria-labelledby") for key in value.split())
    assert page.text.count("of 10 spam") == 10
    assert source.count('<span class="tag">spam</span>') == 8


def test_hostile_text_stays_text(tmp_path: Path, results) -> None:
    source = _written(tmp_path, results)
    assert "<script" not in source
    assert HOSTILE not in source
    assert Page(source).text.count(HOSTILE) > 100


def test_text_that_markup_cannot_hold_is_replaced(tmp_path: Path, results) -> None:
    results["data"]["name"] = "a\x00b\x1b[31m\ud800\u202eevil"
    source = _written(tmp_path, results)
    assert "a\ufffdb\ufffd[31m\ufffd\ufffdevil" in source


@given(st.text())
def test_escaped_text_reads_back(text: str) -> None:
    page = Page(el("p", text, title=text))
    assert page.tags == ["p"]
    assert ElementTree.fromstring(html(el("p", text))).tag == "p"
    unfit = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
    assert page.text == unfit.sub("\ufffd", text)
    assert page.values("title") == [page.text]


def test_markup_is_not_escaped_twice() -> None:
    assert el("p", Html("<b>a</b>"), "<") == "<p><b>a</b>&lt;</p>"
    assert el("rect", width=1.50) == '<rect width="1.5"/>'


def test_figures_are_written_as_people_write_them() -> None:
    assert [percent(share) for share in (0.0, 0.2, 0.214, 1.0)] == ["0%", "20%", "21.4%", "100%"]
    assert [some(n, "device") for n in (0, 1, 7, 1234)] == [
        "no devices",
        "one device",
        "seven devices",
        "1,234 devices",
    ]
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key of every mapping, of lists only the first entry's."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _places(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*path, 0))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def test_whatever_is_missing_is_named_and_leaves_the_report_as_it_was(tmp_path: Path, results) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    free = {("versions", "torch"), ("summary", "baselines", "item-kNN"), ("spam_share_by_device", "Nia")}
    places = [place for place in _places(results) if place not in free | {("spam_share_by_device", "Ben")}]
    assert len(places) > 90
    for place in places:
        broken = copy.deepcopy(results)
        del _at(broken, place[:-1])[place[-1]]
        if place[-1] in OPTIONAL:
            write_report(broken, tmp_path / "other.html")
            continue
        with pytest.raises(ValueError, match=re.escape(f".{place[-1]}")):
            write_report(broken, path)
    assert path.read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other.html", "report.html"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("summary", "recall_at_10"), float("nan"), "to be finite"),
        (("summary", "devices"), True, "to be int, found bool"),
        (("data", "users"), "9", "to be int, found str"),
        (("network", "peers", 0, "role"), "king", "to be one of regular, newcomer, attacker, sybil"),
        (("network", "edges", 0, "target"), "zz", "to join peers"),
        (("training", "curve"), [], "at least one entry in results.training.curve"),
        (("viewpoints",), {}, "results.viewpoints to be a list"),
        (("created_at",), "yesterday", "ISO 8601"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, results, place, value, message: str) -> None:
    _at(results, place[:-1])[place[-1]] = value
    with pytest.raises(ValueError, match=message):
        write_report(results, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("on", "off", "said"),
    [
        (0.0, 0.2, "In the blended lists MeritRank cut spam from 20% to 0%."),
        (0.1, 0.1, "In the blended lists MeritRank made no difference: 10% either way."),
        (0.2, 0.1, "In the blended lists MeritRank came with more spam, from 10% to 20%."),
    ],
)
def test_the_verdict_follows_the_figures(tmp_path: Path, results, on: float, off: float, said: str) -> None:
    for share in results["spam_share_by_device"].values():
        share.update(blend_on=on, blend_off=off)
    assert said in Page(_written(tmp_path, results)).text


def test_the_opening_tells_the_key_figures(tmp_path: Path, results) -> None:
    text = Page(_written(tmp_path, results)).text
    assert "One device, one attacker, 30 fake identities" in text
    for part in ("for 21% of 9 people, against 17% for item-kNN.", "1.0 seconds after", "it got 0% and 20%."):
        assert part in text


@pytest.mark.parametrize(("url", "links"), [("https://grouplens.org/", 1), ("javascript:alert(1)", 0)])
def test_only_web_addresses_become_links(tmp_path: Path, results, url: str, links: int) -> None:
    results["data"]["url"] = url
    page = Page(_written(tmp_path, results))
    assert page.values("href").count(url) == links


def test_a_quiet_run_has_a_report_too(tmp_path: Path, results) -> None:
    """No attacker, no newcomer, no trust, no history, empty lists, no baseline, no validation."""
    results["network"]["peers"] = results["network"]["peers"][:1]
    results["network"]["edges"] = results["spam_items"] = []
    results["viewpoints"] = results["viewpoints"][1:]
    results["viewpoints"][0] |= {"trust": [], "history": []}
    results["viewpoints"][0]["lists"] = {name: [] for name in results["viewpoints"][0]["lists"]}
    results["summary"]["baselines"] = {}
    results["training"]["curve"] = results["training"]["curve"][:1]
    text = Page(_written(tmp_path, results)).text
    assert "device trusts nobody yet" in text
    assert "no attackers" in text


def _in_browser(page: Path, profile: Path) -> tuple[str, str]:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        message = "no Chromium here; Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    command = [browser, *CHROMIUM_FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.mark.slow
def test_a_browser_shows_the_page_without_a_complaint(tmp_path: Path, results) -> None:
    source = _written(tmp_path, results)
    shown, log = _in_browser(tmp_path / "report.html", tmp_path / "profile")
    assert "CONSOLE" not in log
    assert "Content Security Policy" not in log
    page = Page(re.sub(r"<(meta[^>]*)>", r"<\1></meta>", shown.removeprefix("<!DOCTYPE html>")))
    assert [name for name in ("Nia", "Mallory", HOSTILE) if name not in page.text] == []
    assert "script" not in page.tags

    frame = tmp_path / "frame.html"
    frame.write_text(MEASURE.replace("PAGE", escape(source)))
    measured, log = _in_browser(frame, tmp_path / "profile")
    assert "CONSOLE" not in log
    assert re.findall(r'data-measured="([^"]*)"', measured) == ["390 of 390"]
