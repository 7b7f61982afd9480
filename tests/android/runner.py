"""What stands behind the stub of ExecuTorch's AAR: the native session, in the same process as the JVM."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import jpype
import numpy as np

from device_runtime import RuntimeSettings, open_session
from device_runtime.errors import ModelFailed
from device_runtime.session import Session


class Runner:
    """Opens the files that `Module` is given and runs their programs natively.

    Attributes:
        opened: of each file its path, content, mode, load mode and number of threads when it was opened.
        loaded: methods that were loaded ahead.
    """

    def __init__(self) -> None:
        self.opened: list[tuple[Path, bytes, int, int, int]] = []
        self.loaded: list[str] = []
        self._sessions: dict[int, Session] = {}
        self._exception = jpype.JClass("org.pytorch.executorch.ExecutorchRuntimeException")
        self._tensor = jpype.JClass("org.pytorch.executorch.Tensor")

    def install(self) -> None:
        """Become what every `Module` of this process runs on."""
        proxy = jpype.JProxy("org.pytorch.executorch.ProgramRunner", inst=self)
        jpype.JClass("org.pytorch.executorch.Module").runtime = proxy

    @property
    def running(self) -> int:
        """How many programs are open."""
        return len(self._sessions)

    def open(self, path: str, load_mode: int, threads: int) -> int:
        file = Path(str(path))
        content = file.read_bytes()
        self.opened.append((file, content, stat.S_IMODE(file.stat().st_mode), int(load_mode), int(threads)))
        try:
            session = open_session(content, RuntimeSettings(warm_up=False), prefer="native")
        except ModelFailed as error:
            raise self._exception(0x23, str(error)) from error
        self._sessions[len(self.opened)] = session
        return len(self.opened)

    def methods(self, program: int) -> list[str]:
        return sorted(self._sessions[int(program)].methods)

    def load(self, program: int, method: str) -> None:
        self.loaded.append(str(method))

    def execute(self, program: int, method: str, inputs: Any) -> Any:
        arrays = [self._array(tensor) for tensor in inputs]
        try:
            outputs = self._sessions[int(program)].run(str(method), *arrays)
        except ModelFailed as error:
            raise self._exception(0x12, str(error)) from error
        return jpype.JArray(self._tensor)([self._made(array) for array in outputs])

    def close(self, program: int) -> None:
        self._sessions.pop(int(program)).close()

    def _array(self, tensor: Any) -> np.ndarray:
        kind = tensor.dtype().toString()
        data = tensor.getDataAsLongArray() if kind == "INT64" else tensor.getDataAsFloatArray()
        return np.array(data).reshape([int(extent) for extent in tensor.shape()])

    def _made(self, array: np.ndarray) -> Any:
        element = {"int64": jpype.JLong, "float32": jpype.JFloat}[str(array.dtype)]
        return self._tensor.fromBlob(jpype.JArray(element)(array.reshape(-1)), jpype.JArray(jpype.JLong)(array.shape))
