# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench``: this project beside the plan's own commands, on the same data; see settings.py for its variables.

Exits 1 when a target is missed, 2 when nothing could be measured.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from larapee_runner.demo.server import ServerError

from . import (
    centrals,
    day,
    dumps,
    estate,
    files,
    machine,
    replays,
    report,
    runbook,
    seals,
    sweeps,
    targets,
    transfers,
    uploads,
    verifies,
    wrapper,
)
from .measure import Contestant, ContestantError, Meter, Stage
from .settings import Settings, SettingsError, child_environment
from .targets import Part
from .tree import Tree

if TYPE_CHECKING:
    from .estate import Estate

TOP = Path(__file__).resolve().parents[2]


def tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _dump(estate: Estate, meter: Meter, settings: Settings) -> Part:
    runs = meter.rounds("dump", [dumps.stage(estate)], rounds=settings.rounds)
    plain = int(runs.samples[dumps.OURS_GZIP][0].facts["plain_size"])
    title = f"Database: {plain / 1e6:.0f} MB of SQL; ours encrypted to two recipients, hashed and signed"
    return Part("dump", title, dumps.PLAN, runs, plain)


def _files(estate: Estate, meter: Meter, settings: Settings) -> Part:
    tell(f"Writing uploads: {settings.files_mb} MB.")
    tree = Tree(estate.root / "uploads", megabytes=settings.files_mb, seed=settings.seed)
    runs = meter.rounds("files", files.stages(estate, tree), rounds=settings.rounds)
    size = f"{tree.bytes / 1e6:.0f} MB in {tree.entries} files"
    title = f"Uploads: {size}; ours encrypted to two recipients, hashed and signed"
    return Part("files", title, files.PLAN, runs, tree.bytes, {"entries": tree.entries})


def _verify(estate: Estate, meter: Meter, settings: Settings) -> Part:
    runs = meter.rounds("verify", [verifies.stage(estate)], rounds=settings.rounds)
    first = runs.samples[verifies.OURS][0]
    read, count = int(first.facts["read"]), first.facts["artifacts"]
    title = f"Verification of a place: {read / 1e6:.0f} MB in {count} artifacts; ours checks signatures too"
    return Part("verify", title, verifies.PLAN, runs, read, {"artifacts": count})


def _wrapper(estate: Estate, meter: Meter, settings: Settings) -> Part:
    stage = wrapper.stage(estate, collections=TOP / "collection")
    rounds = settings.rounds * wrapper.ROUNDS_FACTOR if settings.rounds > 1 else 1
    runs = meter.rounds("wrapper", [stage], rounds=rounds)
    return Part("wrapper", "A run of a playbook that does next to nothing", wrapper.BARE, runs, 0)


def _replay(estate: Estate, meter: Meter, settings: Settings) -> Part:
    made = day.make_day(estate.root / "day", sales=settings.sales, seed=settings.seed, tell=tell)
    with replays.stage(estate.root / "replays", made) as stage:
        runs = meter.rounds("replay", [stage], rounds=settings.rounds)
    title = f"Replay of {settings.sales} sales: {made.bytes / 1e6:.0f} MB of binary log"
    return Part("replay", title, replays.STOCK, runs, made.bytes, {"sales": settings.sales})


def _seal(estate: Estate, meter: Meter, settings: Settings) -> Part:
    with seals.stage(estate, seed=settings.seed) as stage:
        runs = meter.rounds("seal", [stage], rounds=settings.rounds)
    plain = int(runs.samples[seals.OURS][0].facts["plain_size"])
    title = f"Sealing {seals.SALES} sales: {plain / 1e6:.1f} MB of log; encrypted to two recipients, hashed and signed"
    return Part("seal", title, seals.OURS, runs, plain)


def _central(estate: Estate, meter: Meter, settings: Settings) -> Part:
    tell(f"Signing {settings.artifacts} artifacts.")
    stage = centrals.many(estate, artifacts=settings.artifacts)
    return _night("central", stage, meter, settings, "small artifacts")


def _central_bytes(estate: Estate, meter: Meter, settings: Settings) -> Part:
    stage = centrals.large(estate, megabytes=settings.files_mb)
    return _night("central-bytes", stage, meter, settings, "large artifacts")


def _night(part: str, stage: Stage, meter: Meter, settings: Settings, what: str) -> Part:
    runs = meter.rounds(part, [stage], rounds=settings.rounds)
    first = runs.samples[centrals.LATER][0].facts
    title = f"A night at central: {int(first['read']) / 1e6:.0f} MB in {first['artifacts']} {what} of two branches"
    return Part(part, title, centrals.PLAN, runs, int(first["read"]), {"artifacts": first["artifacts"]})


def _sweep(estate: Estate, meter: Meter, settings: Settings) -> Part:
    tell(f"Making {settings.branches} branches.")
    with sweeps.stage(estate, number=settings.branches) as stage:
        runs = meter.rounds("sweep", [stage], rounds=settings.rounds)
    held = runs.samples[sweeps.ALL][0].facts["held"]
    title = f"A pull from {settings.branches} branches with nothing new: {held} artifacts, known already"
    return Part("sweep", title, sweeps.ALL, runs, 0, {"branches": settings.branches})


def _transfer(estate: Estate, meter: Meter, settings: Settings) -> Part:
    with transfers.stage(estate, mebibytes=settings.transfer_mib) as stage:
        runs = meter.rounds("transfer", [stage], rounds=settings.rounds)
    title = f"A full of {settings.transfer_mib} MiB from a branch to central; ours adopted: signature, hash and copy"
    return Part("transfer", title, transfers.PLAN, runs, settings.transfer_mib << 20)


def _upload(estate: Estate, meter: Meter, settings: Settings) -> Part:
    with uploads.stage(estate, mebibytes=settings.transfer_mib) as stage:
        runs = meter.rounds("upload", [stage], rounds=settings.rounds)
    title = (
        f"An artifact of {settings.transfer_mib} MiB into a bucket of SeaweedFS; ours with SHA-256 of it and its parts"
    )
    return Part("upload", title, uploads.BARE, runs, settings.transfer_mib << 20)


def _restore(estate: Estate, meter: Meter, settings: Settings) -> Part:
    tell(f"Filling a shop that sells: {settings.sql_mb} MB of SQL, {settings.files_mb} MB of uploads.")
    with runbook.lost(estate, settings) as found:
        runs = meter.rounds("restore", [runbook.stage(found)], rounds=settings.rounds)
        found.check()
        steps = found.steps()
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in steps.items())
    title = (
        f"A shop of {found.plain_bytes / 1e6:.0f} MB of SQL and {found.upload_bytes / 1e6:.0f} MB of uploads, brought"
        f" back from central until it has sold: {parts}"
    )
    return Part("restore", title, runbook.PLAN, runs, found.bytes, {"steps": steps})


MEASURES = {
    "dump": _dump,
    "files": _files,
    "verify": _verify,
    "wrapper": _wrapper,
    "replay": _replay,
    "seal": _seal,
    "central": _central,
    "central-bytes": _central_bytes,
    "sweep": _sweep,
    "transfer": _transfer,
    "upload": _upload,
    "restore": _restore,
}


def bench(settings: Settings) -> int:
    described = machine.describe()
    with estate.opened(settings, tell) as opened:
        server_pid = opened.server.pid if opened.server else None
        meter = Meter(opened.root, environ=child_environment(opened.root), server_pid=server_pid, tell=tell)
        # Imports are compiled, and the data is in memory as it will be for all.
        meter.run(Contestant("warm-up", estate.process("warm-up", dict)))
        parts = [MEASURES[name](opened, meter, settings) for name in settings.parts]
    verdicts = targets.judge(parts, rounds=settings.rounds, sha_instructions=described["sha_instructions"])
    told = report.document(settings, described, parts, verdicts)
    report.write(settings.out, told)
    report.show(told)
    tell(f"Written to {settings.out}.")
    missed = report.missed(verdicts)
    for sentence in missed:
        tell(f"Missed: {sentence}.")
    return 1 if missed else 0


def _stop(number: int, _frame: object) -> None:
    tell("Stopped: what was made is removed, and nothing is written of what was measured.")
    sys.exit(128 + number)


def main() -> int:
    signal.signal(signal.SIGTERM, _stop)
    try:
        return bench(Settings.of(os.environ))
    except (SettingsError, ContestantError, ServerError) as problem:
        tell(str(problem))
        return 2


if __name__ == "__main__":
    sys.exit(main())
