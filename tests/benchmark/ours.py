# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process of ours, as a module is: it imports what the module imports and calls what the module calls.

``python ours.py OPERATION REQUEST REPORT``: the request is a JSON file; the report tells the peak memory of this
process alone.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def dump(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils._dump import dump_database
    from ansible_collections.larapee.backup.plugins.module_utils._request import DumpRequest

    outcome = dump_database(DumpRequest(**_with_tuples(request)))
    manifest = outcome.manifest
    if manifest is None or outcome.warnings:
        sys.exit(f"no artifact, or one with warnings: {outcome.warnings}")
    return {"size": manifest.size, "plain_size": manifest.plain_size, "artifact": manifest.artifact}


def archive(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils._archive import ArchiveRequest, archive_files

    outcome = archive_files(ArchiveRequest(**_with_tuples(request)))
    manifest = outcome.manifest
    if manifest is None or outcome.warnings or outcome.problems:
        sys.exit(f"no artifact, or one with warnings: {outcome.warnings} {outcome.problems}")
    companion = next(Path(request["local_path"]).glob(f"{manifest.artifact}.index.*"))
    if manifest.kind != ("files_increment" if request["increment"] else "files_full"):
        sys.exit(f"made {manifest.kind}")
    return {"size": manifest.size + companion.stat().st_size, "artifact": manifest.artifact}


def verify(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils import _verify

    outcome = _verify.verify_place(_verify.VerifyRequest(**request))
    wrong = [check for check in outcome.checks if check.status not in (_verify.OK, _verify.NOT_HERE)]
    if wrong or not outcome.verified:
        sys.exit(f"not verified: {wrong}")
    return {"read": sum(entry.manifest.size for entry in outcome.verified), "artifacts": len(outcome.verified)}


def verify_central(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils import _estate, _proofs, _report, _verify

    def work(branch: str) -> _estate.Report:
        place = _estate.place_of(request["central_path"], branch)
        common = {name: request[name] for name in ("allowed_signers", "state_path")}
        proofs = _proofs.Proofs(**common, branch=branch)
        own = {"branch": branch, "directory": place, "run_id": request["run_id"], "read_days": request["read_days"]}
        return _report.report_of_estate(
            _verify.verify_place(_verify.VerifyRequest(**common, **own, proofs=proofs)), place
        )

    with _night(request["night"]):
        details = _details(_estate.each_branch(work, request["branches"]))
    read = sum(each["read"]["bytes"] for each in details)
    return {"read": read, "artifacts": sum(each["intact"] for each in details), "peak_mib": _peak_of_children()}


def snapshot(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils import _estate, _freeze

    names = ("central_path", "allowed_signers", "state_path", "run_id")

    def work(branch: str) -> _estate.Report:
        options = {name: request[name] for name in names}
        return _freeze.take_snapshot(_freeze.SnapshotRequest(**options, branch=branch, method="link")).report()

    with _night(request["night"]):
        details = _details(_estate.each_branch(work, request["branches"]))
    return {"artifacts": sum(each["artifacts"] for each in details), "peak_mib": _peak_of_children()}


@contextlib.contextmanager
def _night(number: int) -> Iterator[None]:
    """Each night is a day later than the one before, however soon it follows."""
    from ansible_collections.larapee.backup.plugins.module_utils import _clock

    known = _clock.now
    _clock.now = lambda: known() + dt.timedelta(days=number)
    try:
        yield
    finally:
        _clock.now = known


def _details(reports: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    wrong = [each["error"] for each in reports.values() if "error" in each]
    if wrong:
        sys.exit(f"not done: {wrong}")
    return [each["details"] for each in reports.values()]


def _peak_of_children() -> float:
    """Of the largest of the processes that worked, ours and those that they started."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def seal(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils._seal import SealRequest, seal_binlogs

    outcome = seal_binlogs(SealRequest(**_with_tuples(request)))
    manifest = outcome.manifest
    if manifest is None or outcome.warnings:
        sys.exit(f"no artifact, or one with warnings: {outcome.warnings} {outcome.needs_full}")
    return {"size": manifest.size, "plain_size": manifest.plain_size, "artifact": manifest.artifact}


def replay(request: Mapping[str, Any]) -> dict[str, Any]:
    """On a scratch server that runs and has the logs, so that only the replay is measured."""
    from ansible_collections.larapee.backup.plugins.module_utils._mysql._connection import connect, identify
    from ansible_collections.larapee.backup.plugins.module_utils._replay import RelayLogs, Replay

    with connect(request["options"]) as connection:
        server = identify(connection)
    scratch: Any = SimpleNamespace(
        options=request["options"], datadir=request["datadir"], server=server, describe=lambda error: error
    )
    logs = RelayLogs(scratch)
    logs.names = list(request["names"])
    Replay(scratch, logs, start=request["start"]).run_to(request["file"], request["position"])
    return {}


def walk(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils._binlog._walker import Walker

    transactions = 0
    for path in request["logs"]:
        walker = Walker("mariadb")
        with open(path, "rb", buffering=0) as log:
            while block := log.read(1 << 20):
                walker.feed(block)
        transactions += walker.close().groups
    return {"transactions": transactions}


def sweep(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils import _estate, _pull, _rsync

    def work(branch: str) -> _estate.Report:
        way = _rsync.Way(branch=branch, port=request["ports"][branch], **request["way"])
        return _pull.pull(_pull.PullRequest(way=way, **request["pull"]))

    reports = _estate.each_branch(work, request["ports"], width=request["width"])
    for branch, report in reports.items():
        wanted = "not_reached" if branch in request["dead"] else None
        as_expected = bool(report["artifacts"]) == request.get("is_first", False)
        if report["details"].get("reason") != wanted or not as_expected or "not_acknowledged" in report["details"]:
            sys.exit(f"not as expected of {branch}: {report}")
    return {"branches": len(reports), "held": sum(each["details"]["held"] for each in reports.values())}


def fetch(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils import _rsync

    limits = {"deadline": 3000.0, "reserve": 0, "max_size": 0, "bandwidth": 0}
    _rsync.fetch(_rsync.Way(**request["way"]), request["target"], **limits)
    return {}


def upload(request: Mapping[str, Any]) -> dict[str, Any]:
    from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store

    store = open_store(request["store"], uploads_path=request["uploads_path"])
    store.put(request["key"], request["path"], size=request["size"], sha256=request["sha256"])
    # Its memory is that of the parts on their way, whatever the artifact's size; central's, and no branch's.
    return {"peak_mib": None, "with_parts_mib": peak_mib()}


def upload_bare(request: Mapping[str, Any]) -> dict[str, Any]:
    """What boto3 does when nobody tells it more than the size of a part."""
    import boto3.s3.transfer
    import boto3.session

    store = request["store"]
    key, secret = request["keys"]
    client = boto3.session.Session(key, secret, region_name=store["region"]).client(
        "s3", endpoint_url=store["endpoint"], verify=store["ca_file"]
    )
    size = request["part_size"]
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=size, multipart_chunksize=size)
    client.upload_file(request["path"], store["url"].split("/")[2], request["key"], Config=config)
    return {"peak_mib": None, "with_parts_mib": peak_mib()}


def warm_up(_request: Mapping[str, Any]) -> dict[str, Any]:
    """Import everything, so that no contestant compiles what the next one finds compiled."""
    from ansible_collections.larapee.backup.plugins.module_utils import (
        _archive,
        _dump,
        _freeze,
        _pull,
        _restore,
        _seal,
        _verify,
    )

    return {"modules": [module.__name__ for module in (_archive, _dump, _freeze, _pull, _restore, _seal, _verify)]}


def _with_tuples(request: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where requests have tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in request.items()}


OPERATIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "archive": archive,
    "dump": dump,
    "fetch": fetch,
    "replay": replay,
    "seal": seal,
    "snapshot": snapshot,
    "sweep": sweep,
    "upload": upload,
    "upload-bare": upload_bare,
    "verify": verify,
    "verify-central": verify_central,
    "walk": walk,
    "warm-up": warm_up,
}


def peak_mib() -> float:
    """The high-water mark of this process: not that of the commands it started, nor of whoever started it."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    operation, request, report = sys.argv[1:]
    told = OPERATIONS[operation](json.loads(Path(request).read_text()))
    Path(report).write_text(json.dumps({"peak_mib": peak_mib(), **told}))


if __name__ == "__main__":
    main()
