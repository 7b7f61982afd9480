"""What can be checked of the example's Gradle project without Gradle: its parts name the same things."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
APP = ROOT / "examples/android/app"
NAME = "{http://schemas.android.com/apk/res/android}name"


def test_the_aar_is_the_release_that_programs_are_exported_with() -> None:
    (locked,) = re.findall(r"^executorch==(.+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    for place in (APP / "build.gradle.kts", ROOT / "device_runtime/android_session.py", ROOT / "docs/android.md"):
        assert set(re.findall(r"org\.pytorch:executorch-android:([0-9.]+[0-9])", place.read_text())) == {locked}, place


def test_the_manifest_names_an_activity_that_is_there() -> None:
    (activity,) = ElementTree.parse(APP / "src/main/AndroidManifest.xml").getroot().iter("activity")
    name = str(activity.get(NAME)).removeprefix(".")
    source = APP / f"src/main/kotlin/org/meritrec/example/{name}.kt"
    assert f"class {name} : Activity()" in source.read_text()
    assert 'namespace = "org.meritrec.example"' in (APP / "build.gradle.kts").read_text()


def test_every_text_that_the_screen_shows_is_there() -> None:
    defined = {entry.get("name") for entry in ElementTree.parse(APP / "src/main/res/values/strings.xml").iter("string")}
    sources = [*(APP / "src/main").rglob("*.kt"), APP / "src/main/AndroidManifest.xml"]
    used = {name for source in sources for name in re.findall(r"(?:R\.|@)string[./](\w+)", source.read_text())}
    assert used == defined


def test_the_screen_calls_what_there_is() -> None:
    from sdk.android_calls import CALLS

    kotlin = "".join(source.read_text() for source in (APP / "src/main/kotlin").rglob("*.kt"))
    asked = set(re.findall(r'ask\(\s*"(\w+)"', kotlin))
    assert asked == {"open", "recommend", "record"}
    assert asked <= {*CALLS, "open"}
    provider = "org.bouncycastle.jce.provider.BouncyCastleProvider"
    assert provider in kotlin
    assert "org.bouncycastle:bcprov-jdk18on:" in (APP / "build.gradle.kts").read_text()
