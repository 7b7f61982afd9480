"""What runs a model, and why that runtime: for `meritrec inspect`, logs and bug reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class RuntimeReport:
    """What runs a model.

    Attributes:
        runtime: `Session.name`.
        reason: why this one runs, and why none that is smaller.
        executorch: the version of ExecuTorch; empty where it does not run the model.
        threads: how many threads compute.
        arena_bytes: the most memory that a program may plan for its activations; None where nothing limits it.
        backends: what the runtime can hand parts of a program to.
        binding: the file of the native binding; empty for other runtimes.
    """

    runtime: str
    reason: str
    executorch: str = ""
    threads: int = 1
    arena_bytes: int | None = None
    backends: tuple[str, ...] = ()
    binding: str = ""

    def as_json(self) -> dict[str, object]:
        """The same, ready for JSON."""
        return {**asdict(self), "backends": list(self.backends)}
