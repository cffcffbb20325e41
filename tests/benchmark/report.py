# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures as tables for people, and as one JSON document."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .targets import MISSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .settings import Settings
    from .targets import Part, Verdict

FIGURES = ("wall_s", "all_cpu_s", "cpu_s", "server_cpu_s", "size", "others")
RATIOS = ("wall_s", "all_cpu_s", "size")
# A narrower terminal would cut figures.
LEAST_WIDTH = 134
PLAIN_WIDTH = 200
STYLES = {"met": "green", "missed": "bold red"}


def document(
    settings: Settings, machine: Mapping[str, Any], parts: Sequence[Part], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    return {
        "schema": 1,
        "finished_at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "settings": {
            "sql_mb": settings.sql_mb,
            "files_mb": settings.files_mb,
            "sales": settings.sales,
            "artifacts": settings.artifacts,
            "branches": settings.branches,
            "transfer_mib": settings.transfer_mib,
            "rounds": settings.rounds,
            "seed": settings.seed,
            "parts": list(settings.parts),
        },
        "machine": dict(machine),
        "parts": {part.name: _part(part) for part in parts},
        "targets": [asdict(verdict) for verdict in verdicts],
    }


def _part(part: Part) -> dict[str, Any]:
    runs = part.runs
    return {
        "title": part.title,
        "baseline": part.baseline,
        "bytes": part.bytes,
        "facts": dict(part.facts),
        "contestants": {
            name: {
                "median": {figure: runs.median(name, figure) for figure in FIGURES},
                "ratio": {figure: runs.ratio(name, part.baseline, figure) for figure in RATIOS},
                "own_peak_mib": max((sample.own_peak_mib or 0.0 for sample in samples), default=0.0) or None,
                "all_peak_mib": max((sample.all_peak_mib or 0.0 for sample in samples), default=0.0) or None,
                "samples": [asdict(sample) for sample in samples],
            }
            for name, samples in runs.samples.items()
        },
    }


def write(path: Path, told: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def show(told: Mapping[str, Any]) -> None:
    """Print tables; where no terminal is wide enough for them, as Markdown."""
    console = Console()
    if console.is_terminal and console.width >= LEAST_WIDTH:
        for element in _elements(told, box.SIMPLE_HEAD):
            console.print(element, soft_wrap=isinstance(element, Text))
        return
    plain = Console(width=PLAIN_WIDTH)
    for element in _elements(told, box.MARKDOWN):
        with plain.capture() as captured:
            plain.print(element, soft_wrap=True)
        sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines() if line.strip()) + "\n\n")


def _elements(told: Mapping[str, Any], shape: box.Box) -> Iterator[Text | Table]:
    machine = told["machine"]
    sha = "with" if machine["sha_instructions"] else "without"
    yield Text(
        f"Machine: {machine['processor']}, {machine['cores']} cores, {sha} SHA instructions, "
        f"{machine['memory_gib']} GiB; {machine['system']}, Linux {machine['kernel']}, Python {machine['python']}."
    )
    yield Text(f"Tools: {', '.join(f'{tool} {version}' for tool, version in machine['tools'].items())}.")
    for part in told["parts"].values():
        yield Text(f"{part['title']}.")
        yield _table(part, shape)
    yield _targets(told["targets"], shape)


def _table(part: Mapping[str, Any], shape: box.Box) -> Table:
    table = Table(box=shape)
    table.add_column(f"median of {_rounds(part)}", no_wrap=True)
    for title in (
        "wall s",
        "ratio",
        "CPU s",
        "server's",
        "CPU ratio",
        "MB",
        "size ratio",
        "own MiB",
        "all MiB",
        "others",
    ):
        table.add_column(title, justify="right", no_wrap=True)
    for name, contestant in part["contestants"].items():
        median, ratio = contestant["median"], contestant["ratio"]
        peak, peak_of_all = contestant["own_peak_mib"], contestant["all_peak_mib"]
        sized = median["size"] > 0
        table.add_row(
            _cell(name, shape),
            f"{median['wall_s']:.2f}",
            f"{ratio['wall_s']:.3f}",
            f"{median['all_cpu_s']:.2f}",
            f"{median['server_cpu_s']:.2f}" if median["server_cpu_s"] else "",
            f"{ratio['all_cpu_s']:.3f}",
            f"{median['size'] / 1e6:.1f}" if sized else "",
            f"{ratio['size']:.3f}" if sized else "",
            f"{peak:.0f}" if peak else "",
            f"{peak_of_all:.0f}" if peak_of_all else "",
            f"{median['others']:.2f}",
        )
    return table


def _cell(name: str, shape: box.Box) -> Text:
    return Text(name.replace("|", "\\|") if shape is box.MARKDOWN else name)


def _rounds(part: Mapping[str, Any]) -> int:
    return max(len(contestant["samples"]) for contestant in part["contestants"].values())


def _targets(verdicts: Sequence[Mapping[str, Any]], shape: box.Box) -> Table:
    table = Table(box=shape)
    table.add_column("target", no_wrap=True)
    table.add_column("at most", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for verdict in verdicts:
        measured = "" if verdict["measured"] is None else f"{verdict['measured']:.3g}{verdict['unit']}"
        word = f"{verdict['verdict']}: {verdict['why']}" if verdict["why"] else verdict["verdict"]
        judged = Text(word, style=STYLES.get(verdict["verdict"], ""))
        table.add_row(Text(verdict["text"]), f"{verdict['bound']:g}{verdict['unit']}", measured, judged)
    return table


def missed(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.sentence() for verdict in verdicts if verdict.verdict == MISSED]


__all__ = ("document", "missed", "show", "write")
