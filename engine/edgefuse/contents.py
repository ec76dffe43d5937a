"""Contents: what a bundle says of itself, as facts and as a table, without running it."""

from __future__ import annotations

from typing import Any

from edgefuse.bundle import Bundle
from edgefuse.datasheet import read_datasheet
from edgefuse.schema import document_of


def facts(bundle: Bundle) -> dict[str, Any]:
    """Streams, operator, outputs, datasheet and provenance, JSON-ready."""
    manifest = bundle.manifest
    sheet = read_datasheet(bundle)
    return {
        "name": manifest.name,
        "bundle_version": manifest.bundle_version,
        "domain": manifest.domain,
        "sha256": bundle.sha256,
        "size_bytes": sum(spec.size_bytes for spec in manifest.files.values()),
        "streams": [document_of(stream) for stream in manifest.streams],
        "fusion": document_of(manifest.fusion),
        "outputs": [document_of(output) for output in manifest.head.outputs],
        "ladder": list(manifest.fallback.ladder),
        "datasheet": document_of(sheet) if sheet else None,
        "provenance": dict(manifest.provenance),
    }


def describe(known: dict[str, Any]) -> str:
    """The facts as a page for a person."""
    fusion = known["fusion"]
    lines = [
        f"{known['name']} version {known['bundle_version']}, {known['size_bytes'] / 1e6:.2f} MB",
        f"sha256 {known['sha256']}",
        f"trained on {known['domain']!r}; ladder {' > '.join(known['ladder'])}",
        f"{fusion['operator']} of {len(known['streams'])} streams at {fusion['dim']} dimensions",
        "",
        f"  {'stream':<16}{'kind':<9}{'tensor':<26}{'fresh':>9}{'at most':>9}",
    ]
    lines += [_stream_line(stream) for stream in known["streams"]]
    lines += [
        "",
        *(f"  output {o['name']}: {o['kind']}: {', '.join(o['labels'] or o['units'])}" for o in known["outputs"]),
    ]
    if known["datasheet"]:
        sheet = known["datasheet"]
        lines += ["", f"  {sheet['metric']} by streams present ({sheet['split']})"]
        lines += [_figure_line(figure) for figure in sheet["subsets"]]
        lines += (
            ["", "  by the age of one stream's sample, the others fresh", *_age_lines(sheet["ages"])]
            if sheet["ages"]
            else []
        )
        lines += ["", "  mean over the subsets by rung", *_rung_lines(sheet["rungs"])] if sheet["rungs"] else []
        lines += _estimated(sheet["estimate"])
        lines += _warnings(sheet)
    lines += ["", *(f"  {key}: {value}" for key, value in known["provenance"].items())]
    return "\n".join(lines)


def _estimated(estimate: dict[str, Any] | None) -> list[str]:
    if estimate is None:
        return []
    return [
        "",
        f"  other subsets are estimated from these, with an error of {estimate['error']:.3f} (root mean square)",
    ]


def _warnings(sheet: dict[str, Any]) -> list[str]:
    if sheet["subset_trained"] is False:
        return [
            "",
            "  The model was not trained to answer from subsets: its figures and attributions without a stream say so.",
        ]
    return []


def _stream_line(stream: dict[str, Any]) -> str:
    tensor = f"{stream['tensor_dtype']} {stream['tensor_shape']}"
    derived = f"  from {stream['derived_from']}" if stream["derived_from"] else ""
    ages = f"{stream['fresh_ms']:>6.0f} ms{stream['max_age_ms']:>6.0f} ms"
    return f"  {stream['name']:<16}{stream['kind']:<9}{tensor:<26}{ages}{derived}"


def _figure_line(figure: dict[str, Any]) -> str:
    interval = f"[{figure['low']:.3f}, {figure['high']:.3f}]"
    bias = " and a bias" if figure["bias"] else ""
    error = "" if figure["ece"] is None else f"  calibration {figure['ece']:.3f}, T {figure['temperature']:.2f}{bias}"
    cost = "" if figure["latency_ms"] is None else f"  {figure['latency_ms']:.2f} ms"
    return f"    {figure['value']:.3f}  {interval}  n = {figure['n']}{error}{cost}  {', '.join(figure['streams'])}"


def _age_lines(ages: list[dict[str, Any]]) -> list[str]:
    """One line a stream: how the metric falls with the age of its sample."""
    curves: dict[str, list[str]] = {}
    for figure in sorted(ages, key=lambda f: float(f["age_ms"])):
        curves.setdefault(figure["stream"], []).append(f"{figure['value']:.3f} at {figure['age_ms']:.0f} ms")
    return [f"    {stream}: {', '.join(points)}" for stream, points in curves.items()]


def _rung_lines(rungs: list[dict[str, Any]]) -> list[str]:
    """One line a rung: the mean over the subsets in which a stream is absent."""
    values: dict[str, list[float]] = {}
    for figure in rungs:
        values.setdefault(figure["rung"], []).append(float(figure["value"]))
    return [f"    {rung}: {sum(known) / len(known):.3f}" for rung, known in values.items()]
