"""What the native session owes beyond the seam: silence, errors of the runtime as text, scalar shapes, clean-up."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_runtime import MethodInfo, ModelFailed, TensorSpec, open_session
from device_runtime.native import _parsed

ROOT = Path(__file__).parents[2]
HISTORY = (
    np.zeros((1, 6, 3), np.int64),
    np.zeros((1, 6, 1), np.float32),
    *(np.zeros((1, 6), np.int64) for _ in range(3)),
)


def test_it_writes_nothing_even_when_it_refuses(exported: Any, tmp_path: Path) -> None:
    (tmp_path / "model.pte").write_bytes(exported.program)
    script = """
import sys, pathlib, numpy as np
from device_runtime import ModelFailed, open_session
good = pathlib.Path(sys.argv[1]).read_bytes()
session = open_session(good)
session.run("decode_1", np.zeros((4, 16), np.float32), np.zeros((4, 1), np.int64))
for refused in (lambda: session.run("decode_1", np.zeros((4, 16), np.float32), np.full((4, 1), 99)),
                lambda: open_session(good[:-1])):
    try:
        refused()
    except ModelFailed:
        continue
    sys.exit("not refused")
print(session.name, sorted({"torch", "torchao", "executorch", "pandas"} & sys.modules.keys()))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "model.pte")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "native []\n", "")


def test_an_index_out_of_a_float_table_is_an_error_of_the_runtime_and_harms_nothing(exported: Any) -> None:
    session = open_session(exported.program, prefer="native")
    before = session.run("encode", *HISTORY)
    for outside in (9, -1, 1 << 40):
        with pytest.raises(ModelFailed, match="encode failed"):
            session.run("encode", HISTORY[0] + outside, *HISTORY[1:])
    for first, again in zip(before, session.run("encode", *HISTORY), strict=True):
        np.testing.assert_array_equal(first, again)
    session.close()


def test_a_forgotten_session_is_freed(exported: Any) -> None:
    session: Any = open_session(exported.program, prefer="native")
    release = session._free
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
    assert not release.alive


def test_descriptions_of_scalars_and_empty_methods() -> None:
    found = _parsed("f in 6 \nf in 4 2,3\nf out 11 1\ng out 6 4\n")
    assert dict(found) == {
        "f": MethodInfo((TensorSpec("float32", ()), TensorSpec("int64", (2, 3))), (TensorSpec("bool", (1,)),)),
        "g": MethodInfo((), (TensorSpec("float32", (4,)),)),
    }


@pytest.mark.parametrize("line", ["f in 9 1", "f in 6 -1", "f in 6 2000000,2000000"])
def test_descriptions_that_no_array_has_are_refused(line: str) -> None:
    with pytest.raises(ModelFailed):
        _parsed(line)
