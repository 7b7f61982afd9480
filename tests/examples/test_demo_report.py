"""The report: well-formed, self-contained, safe with hostile text, whole or absent; and a real browser agrees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from examples.demo.report import write_report

_VOID = {"meta", "br"}


class _Balanced(HTMLParser):
    """Fails on a tag that is not closed in order; collects ids and tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_the_page_is_balanced_complete_and_asks_for_nothing(tmp_path: Path, results) -> None:
    write_report(results, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    assert {"glance", "quality", "network", "lists", "attack", "devices", "made"} <= set(parser.ids)
    assert len(parser.ids) == len(set(parser.ids))
    assert parser.tags.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert "http" not in re.sub(r'http-equiv="[^"]*"', "", page)
    assert "<script" not in page
    assert "class=tag>spam</span>" in page
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ElementTree.fromstring(svg)


def test_a_missing_figure_leaves_the_report_as_it_was(tmp_path: Path, results) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    del results["bundle"]
    with pytest.raises(KeyError, match="bundle"):
        write_report(results, path)
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.slow
def test_a_browser_shows_the_page_without_a_complaint(tmp_path: Path, results) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        assert not os.environ.get("CI"), "CI must have a browser: .ci/run installs it"
        pytest.skip("no Chromium here; Debian: apt-get install chromium")
    write_report(results, tmp_path / "report.html")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [browser, *flags, profile, "--enable-logging=stderr", "--dump-dom", (tmp_path / "report.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    assert "Content Security Policy" not in done.stderr
    for text in ("meritrec, end to end", "The attack", "Mallory"):
        assert text in done.stdout
    assert "alert('x')" not in re.sub(r"&lt;script&gt;alert\('x'\)", "", done.stdout)
