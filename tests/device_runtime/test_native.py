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
from server_training.export.lower import lower_xnnpack
from server_training.export.quantize import quantized
from server_training.models.config import ModelConfig
from server_training.models.recommender import GenerativeRecommender

ROOT = Path(__file__).parents[2]


def test_it_writes_nothing_even_when_it_refuses(exported: Any, tmp_path: Path) -> None:
    (tmp_path / "model.pte").write_bytes(exported.program)
    script = """
import sys, pathlib, numpy as np
from device_runtime import ModelFailed, open_session
good = pathlib.Path(sys.argv[1]).read_bytes()
session = open_session(good)
session.run("decode_1", np.zeros((4, 16), np.float32), np.zeros((4, 1), np.int64))
for refused in (lambda: session.run("decode_1", np.zeros((4, 16), np.float32), np.zeros((3, 1), np.int64)),
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


def test_no_index_takes_the_process_down() -> None:
    """The runtime's int8 embedding kernels would: the programs clamp every index to its table."""
    model = GenerativeRecommender(
        ModelConfig(3, codebook_size=8, history_length=6, width=16, heads=2, head="autoregressive")
    )
    session = open_session(lower_xnnpack(quantized(model, "8da8w"), 4), prefer="native")
    for method, info in session.methods.items():
        for outside in (9, -1, 1 << 40, -(1 << 62)):
            inputs = (np.full(spec.shape, outside if spec.dtype == "int64" else 0, spec.dtype) for spec in info.inputs)
            for output in session.run(method, *inputs):
                assert np.isfinite(output).all()
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
