"""The page that says what every backend did: Markdown, written from kept trials and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from server_training.export.backends import BACKENDS
from server_training.export.support import Kept
from server_training.export.verify import LARGEST_DIFFERENCE

HEADER = "| backend | for | scheme | lowered | delegated | bytes | s | scheme costs | ran on | max error | top ten |"
_RULE = "|---|---|---|---|---|---|---|---|---|---|---|"
_NOTHING = "–"
_LONGEST_NOTE = 400

_HEAD = """# Backends: what was tried, and what came of it

Written by `meritrec-server backends --page`; do not edit it. Every line is one trial in a process of its own: all
methods of a trained model lowered for a backend by the code of `meritrec-server export`, with one quantisation scheme,
and run where this machine can. To make it again, in a checkout, with a run of your own:

```sh
.ci/backend-environment python3.11 environments/openvino openvino
.ci/backend-environment python3.11 environments/arm arm           # for ethos-u, tosa, vgf
.ci/backend-environment python3.11 environments/coreml coreml
meritrec-server backends --run run --environments environments --results docs/backends --page docs/backends.md
```

An environment is what `make` installs with the packages of `.ci/backends/NAME.txt` over it, in the versions that a
backend wants; `environments/NAME/bin/meritrec-server export` makes programs in it. Interrupted trials go on with the
same command.

- *lowered*: fixed lengths are padded to the longest history; others take any history between the two.
- *delegated*: operators that the backend took, of all operators of all methods. ExecuTorch's own kernels run the rest.
- *s*: seconds of CPU time for quantising and lowering.
- *scheme costs*: largest difference of any output, the quantised model in PyTorch against the model in float.
- *max error*: largest difference of any output, the program against the quantised model in PyTorch. Both are over real
  held-out histories, and relative where the output's largest number is above 1.
- *top ten*: mean share of items common to the program's list and exact scoring in float, seen items removed.
"""


def backends_page(kept: Sequence[Kept]) -> str:
    """Return the page of these trials, in their order; a backend without one is listed as not tried."""
    lines = [_HEAD, *_settings(kept), "", HEADER, _RULE]
    notes: list[str] = []
    for name, backend in BACKENDS.items():
        own = [entry for entry in kept if entry.trial.backend == name]
        if not own:
            lines.append(_row([name, backend.target, _NOTHING, "not tried", *[_NOTHING] * 7]))
        lines += [_row([name, backend.target, *_cells(entry)]) for entry in own]
        notes += _notes(own)
    lines += ["", "## What stands in the way", "", *(notes or ["Nothing."])]
    lines += ["", "## Versions", "", *_versions(kept)]
    return "\n".join(lines) + "\n"


def _settings(kept: Sequence[Kept]) -> list[str]:
    """One line per distinct model, machine, day and code; trials made apart may differ in them."""
    found = []
    for label, values in (
        ("Model", [entry.setting.model for entry in kept]),
        ("Machine", [entry.setting.machine for entry in kept]),
        ("Date", [entry.setting.date for entry in kept]),
        ("Code", [entry.setting.code for entry in kept]),
    ):
        found.append(f"{label}: {'; '.join(dict.fromkeys(values)) or _NOTHING}.  ")
    return found


def _cells(kept: Kept) -> list[str]:
    trial = kept.trial
    if trial.missing is not None or trial.problem is not None:
        return [trial.quantization, "not here" if trial.missing else "failed", *[_NOTHING] * 7]
    fixed = trial.shortest == trial.longest
    operators = (trial.delegated or 0) + (trial.left or 0)
    return [
        trial.quantization,
        f"yes, {trial.longest} events" if fixed else f"yes, {trial.shortest} to {trial.longest} events",
        f"{trial.delegated} of {operators}",
        f"{trial.program_bytes:,}",
        f"{trial.seconds:.0f}",
        _number(trial.quantization_error),
        trial.runtime or "not here",
        _number(trial.max_error),
        _NOTHING if trial.top10_overlap is None else f"{trial.top10_overlap:.1%} ({trial.people} people)",
    ]


def _notes(own: Sequence[Kept]) -> list[str]:
    """What was missing or failed, or what an export would refuse; the same of several schemes once."""
    said: dict[str, list[str]] = {}
    for kept in own:
        trial = kept.trial
        for kind, text in (("", trial.missing), ("not lowered: ", trial.problem), ("not run: ", trial.not_run)):
            if text is not None:
                said.setdefault(f"{kind}{_one_line(text)}", []).append(trial.quantization)
        if trial.max_error is not None and not trial.max_error <= LARGEST_DIFFERENCE:
            refused = f"export refuses it: the largest difference allowed is {LARGEST_DIFFERENCE}"
            said.setdefault(refused, []).append(trial.quantization)
    return [f"- {own[0].trial.backend} ({', '.join(schemes)}): {text}" for text, schemes in said.items()]


def _versions(kept: Sequence[Kept]) -> list[str]:
    """One line per set of packages, with the backends it served."""
    served: dict[str, list[str]] = {}
    for entry in kept:
        text = ", ".join(f"{name} {version}" for name, version in entry.trial.versions.items())
        if text and entry.trial.backend not in served.setdefault(text, []):
            served[text].append(entry.trial.backend)
    return [f"- {', '.join(names)}: {text}" for text, names in served.items()] or ["None were recorded."]


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2g}"


def _one_line(text: str) -> str:
    """The first sentence."""
    plain = " ".join(text.split()).partition(". ")[0]
    return plain if len(plain) <= _LONGEST_NOTE else plain[:_LONGEST_NOTE] + " …"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
