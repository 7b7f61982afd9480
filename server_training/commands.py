"""What each `meritrec-server` command does; parsing is in `cli`."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from device_runtime import MANIFEST_FILE, SIGNATURE_FILE, Manifest, read_files
from device_runtime import signatures_from_bytes as read_signatures
from server_training.console import console, counting_bar, naming_bar, print_result, text_lines, training_bar
from server_training.data.columns import REPORT_FILE
from server_training.data.movielens_wheel import TERMS, fetch_movielens_wheel
from server_training.data.prepare import prepare
from server_training.errors import ConfigInvalid, TrainingError
from server_training.files import write_atomically
from server_training.pages.training import write_training_page
from server_training.run_config import RunConfig, changed, load_config
from server_training.training.precision import is_low
from server_training.training.processes import Processes
from server_training.training.run_folder import EVALUATION_FILE, RUN_FILE, Run, train_run


def prepare_command(arguments: argparse.Namespace) -> None:
    """Write the Parquet contract."""
    source = arguments.source
    if source is None:
        source = fetch_movielens_wheel(arguments.cache)
        console.print(f"data: {TERMS}")
    with counting_bar("rows read") as bar:
        report = prepare(source, arguments.out, progress=lambda rows: bar(rows, None))
    lines = [f"{arguments.out}: {report.interactions:,} interactions", *text_lines(json.loads(report.to_json()))]
    print_result(json.loads(report.to_json()), arguments.json, lambda: "\n".join(lines))


def train_command(arguments: argparse.Namespace) -> None:
    """Train, or resume."""
    config = changed(load_config(arguments.config) if arguments.config else RunConfig(), overrides(arguments.set))
    processes = Processes.join(timeout_s=arguments.timeout, alone_too=arguments.sharded)
    if processes.first and config.train.precision == "bfloat16" and not is_low(config.train, processes.device):
        console.print("precision: float32, for this processor has no units for bfloat16")
    with training_bar(shown=processes.first) as bar:
        result = train_run(
            arguments.data,
            arguments.out,
            config,
            bar,
            fresh=arguments.fresh,
            processes=processes,
            sharded=arguments.sharded,
        )
    processes.leave()
    if not processes.first:
        return
    summary = {
        "run": str(arguments.out),
        "parameters": result.parameters,
        "epochs": result.epochs,
        "best_valid_ndcg_at_10": result.best_valid_ndcg_at_10,
        "resumed_from_epoch": result.resumed_from,
        "page": str(write_training_page(arguments.out)),
    }
    print_result(summary, arguments.json, lambda: "\n".join(text_lines(summary)))


def overrides(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read `section.name=value`, the value as in TOML, or as text where it is no TOML value."""
    sections: dict[str, dict[str, Any]] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        section, dot, name = path.partition(".")
        if not (equals and dot and name):
            raise ConfigInvalid(f"expected --set section.name=value, got {setting!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        sections.setdefault(section, {})[name] = value
    return sections


def evaluate_command(arguments: argparse.Namespace) -> None:
    """Compare runs with the baselines, and keep what was found in their folders."""
    from server_training.evaluation.report import compare

    runs = [Run.open(path) for path in arguments.runs]
    with naming_bar() as bar:
        comparison = compare(runs, names=arguments.baselines, progress=bar)
    found = comparison.to_dict()
    for run in runs:
        write_atomically(run.folder / EVALUATION_FILE, (json.dumps(found, indent=2) + "\n").encode())
        console.print(f"page: {write_training_page(run.folder)}")
    print_result(found, arguments.json, lambda: comparison.table(arguments.at))


def export_command(arguments: argparse.Namespace) -> None:
    """Export an unsigned bundle."""
    from server_training.export.publish import ExportConfig, export_run  # imports ExecuTorch's exporter: seconds

    config = ExportConfig(
        arguments.namespace,
        arguments.model_version,
        arguments.valid_days,
        arguments.quantize,
        arguments.beam,
        arguments.data_name,
        arguments.data_licence,
        backend=arguments.backend,
    )
    run = Run.open(arguments.run)
    console.print(f"export: through ExecuTorch for {arguments.backend}, about half a minute")
    with counting_bar("verifying users") as bar:
        report = export_run(run, arguments.out, config, bar)
    content = asdict(report)
    print_result(content, arguments.json, lambda: "\n".join([f"{arguments.out} (unsigned)", *text_lines(content)]))


def inspect_command(arguments: argparse.Namespace) -> None:
    """Say what a folder holds."""
    content = _inspected(arguments.path)
    print_result(content, arguments.json, lambda: "\n".join(text_lines(content)))


def _inspected(path: Path) -> dict[str, object]:
    for kind, name in (("prepared data", REPORT_FILE), ("training run", RUN_FILE)):
        if (path / name).is_file():
            try:
                return {"kind": kind, **json.loads((path / name).read_text())}
            except (ValueError, TypeError) as error:
                raise TrainingError(f"{path / name} is damaged ({error}); make it again") from error
    files = read_files(path)
    if MANIFEST_FILE not in files:
        raise TrainingError(f"{path} is neither a prepared folder, nor a run, nor a bundle")
    manifest = Manifest.from_bytes(files[MANIFEST_FILE])
    signatures = read_signatures(files[SIGNATURE_FILE]) if SIGNATURE_FILE in files else ()
    signed_by = {s.key.hex(): s.verifies(files[MANIFEST_FILE]) for s in signatures}
    return {"kind": "bundle", "signatures_valid": signed_by, **json.loads(manifest.to_bytes())}
