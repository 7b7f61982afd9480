"""A device's figures in Prometheus' text format 0.0.4; those of the network are `p2p.prometheus`'s."""

from __future__ import annotations

from collections.abc import Iterator

from sdk.metrics import MetricsSnapshot


def device_text(snapshot: MetricsSnapshot) -> str:
    """Return counts and latencies as text."""
    return "".join(f"{line}\n" for line in _lines(snapshot))


def _lines(snapshot: MetricsSnapshot) -> Iterator[str]:
    for name, kind, help_, value in (
        ("uptime_seconds", "gauge", "time since the device was opened", snapshot.uptime_s),
        ("events", "gauge", "events in the private store", snapshot.events),
        ("peer_records", "gauge", "records of peers on this device", snapshot.records),
        ("model_version", "gauge", "version of the model in use", snapshot.model_version),
        ("model_expired", "gauge", "1 if the model's time is over", int(snapshot.model_expired)),
        ("model_rollbacks_total", "counter", "models that failed and were replaced", snapshot.rollbacks),
        ("peak_memory_bytes", "gauge", "most resident memory of the process", snapshot.peak_rss_bytes),
    ):
        yield from (f"# HELP meritrec_{name} {help_}", f"# TYPE meritrec_{name} {kind}", f"meritrec_{name} {value}")
    yield "# HELP meritrec_call_milliseconds duration of the latest calls, by operation"
    yield "# TYPE meritrec_call_milliseconds summary"
    for operation, latency in snapshot.latencies.items():
        label = f'operation="{operation}"'
        yield f'meritrec_call_milliseconds{{{label},quantile="0.5"}} {latency.p50_ms}'
        yield f'meritrec_call_milliseconds{{{label},quantile="0.99"}} {latency.p99_ms}'
        yield f"meritrec_call_milliseconds_count{{{label}}} {latency.calls}"
    yield "# HELP meritrec_failed_calls_total calls that raised, by operation"
    yield "# TYPE meritrec_failed_calls_total counter"
    for operation, latency in snapshot.latencies.items():
        yield f'meritrec_failed_calls_total{{operation="{operation}"}} {latency.failed}'
