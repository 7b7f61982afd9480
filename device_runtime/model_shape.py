"""What a program's methods look like, as the manifest states it and as the searches will call them.

A tensor is written as its element type and shape, such as ``float32[1,t,96]``; a letter stands for a length that
varies: t events of a history, p events remembered, b hypotheses or candidates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from device_runtime.dense import ITEMS_AT_ONCE
from device_runtime.encoder import RESUMED
from device_runtime.session import SCALAR_TYPES, MethodInfo, TensorSpec
from device_runtime.steering import TAXONOMY

MAX_TENSORS = 16
_TENSOR = re.compile(r"([a-z0-9]{3,8})\[((?:[0-9]{1,9}|[tpb])(?:,(?:[0-9]{1,9}|[tpb])){0,7})\]")


@dataclass(frozen=True, slots=True)
class MethodShape:
    """A method's inputs and outputs, each as text such as ``int64[1,t]``."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes that determine every method.

    Attributes:
        head: one of `search.HEADS`.
        history_length, shortest_history: most and fewest positions of a history.
        beam_width, least_beam: most and fewest hypotheses or candidates.
        levels, codebook_size, features, state_width: L, K, R and d.
        memory_rows: S, keys and values of all layers; 0 for a model that remembers nothing.
        asks, ask_levels: what requests may ask for, and in how many levels; see `steering`.
        adapters: heads beside the main one; see `steering`.
        categories: C of the adapter `taxonomy`, 0 without it.
    """

    head: str
    history_length: int
    shortest_history: int
    beam_width: int
    least_beam: int
    levels: int
    codebook_size: int
    features: int
    state_width: int
    memory_rows: int
    asks: tuple[str, ...] = ()
    ask_levels: int = 1
    adapters: tuple[str, ...] = ()
    categories: int = 0

    def methods(self) -> dict[str, MethodShape]:
        """Return what the searches call, by name."""
        t = self._length("t", self.shortest_history, self.history_length)
        b = self._length("b", self.least_beam, self.beam_width)
        d, k = self.state_width, self.codebook_size
        times = f"int64[1,{t}]"
        history = (f"int64[1,{t},{self.levels}]", f"float32[1,{t},{self.features}]", times, times, times)
        items = (f"int64[{ITEMS_AT_ONCE},{self.levels}]", f"float32[{ITEMS_AT_ONCE},{self.features}]")
        keys, query = f"float32[{ITEMS_AT_ONCE},{d}]", f"float32[1,{d}]"
        methods: dict[str, MethodShape] = {}
        if self.head == "autoregressive":
            answers: tuple[str, ...] = (query, f"float32[1,{k}]")
            for level in range(1, self.levels):
                beam = (f"float32[{b},{d}]", f"int64[{b},{level}]")
                methods[f"decode_{level}"] = MethodShape(beam, (f"float32[{b},{k}]",))
        elif self.head == "parallel":
            answers = (f"float32[1,{self.levels},{k}]",)
        elif self.head == "retrieval":
            answers = (query, *self._adapted())
            methods["items"] = MethodShape(items, (keys,))
        else:
            answers = (query, f"float32[1,{t},{d}]")
            methods["items"] = MethodShape(items, (keys, keys))
            candidates = (f"float32[1,{t},{d}]", times, f"float32[1,{b},{d}]")
            methods["rank"] = MethodShape(candidates, (f"float32[1,{b}]",))
        return {**methods, **self._encoding(history, answers, t)}

    @property
    def query_adapters(self) -> tuple[str, ...]:
        """The adapters that give a query each: all but the taxonomy."""
        return tuple(name for name in self.adapters if name != TAXONOMY)

    def _adapted(self) -> tuple[str, ...]:
        queries = (f"float32[1,{len(self.query_adapters)},{self.state_width}]",) if self.query_adapters else ()
        return (*queries, f"float32[1,{self.categories}]") if self.categories else queries

    def _encoding(self, history: tuple[str, ...], answers: tuple[str, ...], t: str) -> dict[str, MethodShape]:
        asks = (f"int64[1,{len(self.asks)}]",) if self.asks else ()
        if not self.memory_rows:
            return {"encode": MethodShape((*history, *asks), answers)}
        memory = f"float32[1,{self.memory_rows},{{}},{self.state_width}]"
        newest = tuple(text.replace(f"[1,{t}", f"[1,{RESUMED}") for text in history)
        resumed = tuple(text.replace(f"[1,{t},", f"[1,{RESUMED},") for text in answers)
        return {
            "encode": MethodShape((*history, *asks), (*answers, memory.format(t))),
            "extend": MethodShape(
                (*newest[:4], "int64[1,p]", newest[4], memory.format("p"), *asks), (*resumed, memory.format(RESUMED))
            ),
        }

    @staticmethod
    def _length(name: str, least: int, most: int) -> str:
        return name if least < most else str(most)

    def longest(self, shape: MethodShape) -> MethodInfo:
        """Return a method as a session describes it: every varying length at its greatest."""
        most = {"t": self.history_length, "p": self.history_length - RESUMED, "b": self.beam_width}
        return MethodInfo(
            tuple(_spec(text, most) for text in shape.inputs), tuple(_spec(text, most) for text in shape.outputs)
        )


def is_tensor(text: object) -> bool:
    """Whether a text describes a tensor."""
    found = _TENSOR.fullmatch(text) if isinstance(text, str) else None
    return found is not None and found[1] in SCALAR_TYPES.values()


def _spec(text: str, most: Mapping[str, int]) -> TensorSpec:
    found = _TENSOR.fullmatch(text)
    assert found is not None
    return TensorSpec(found[1], tuple(most[axis] if axis in most else int(axis) for axis in found[2].split(",")))
