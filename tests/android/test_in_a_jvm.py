"""What of Android needs Java: compiles it, and runs the tests named inside_*.py, each file in a JVM of its own.

The AAR and Chaquopy's Java side are stubs of their public shapes; `java.security`, the JVM and the native session
behind the stub are real. No emulator, no phone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.android.jvm import CLASSES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INSIDE = sorted(path.name for path in HERE.glob("inside_*.py"))


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stubs and the example's Java, compiled as an Android project of its `sourceCompatibility` would be."""
    assert shutil.which("javac"), "these tests need a JDK of version 11 or later: apt-get install default-jdk-headless"
    out = tmp_path_factory.mktemp("classes")
    sources = [*(HERE / "stubs").rglob("*.java"), *(ROOT / "examples/android").rglob("*.java")]
    command = ["javac", "--release", "11", "-Xlint:all,-options", "-Werror", "-d", str(out), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("name", INSIDE)
def test_inside_a_jvm(name: str, classes: Path) -> None:
    environment = {
        **os.environ,
        CLASSES: str(classes),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # plugins import what a phone does not have
        "HYPOTHESIS_NO_PLUGINS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE / "chaquopy")]),
    }
    # The JVM uses SIGSEGV for its own purposes; Python's faulthandler would take it for a crash.
    plugins = ["tests.android.jvm", "no:faulthandler", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *(word for plugin in plugins for word in ("-p", plugin))]
    done = subprocess.run(
        [*command, str(HERE / name)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    assert re.search(r"\d+ passed", done.stdout)
    assert "skipped" not in done.stdout
