# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One crash: a branch under load dies at a moment that the seed decides, and is restored elsewhere to the latest.

The judge is not of this project: ``mariadb-binlog | mariadb`` replays the dead server's own binary logs, from its first
event to the position that the restore says it reached, and the stock dumps of both servers have to be equal.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from larapee_runner.demo.server import ThrowawayServer
from tests.chaos.till import SCHEMA, Tills
from tests.database.estate import DATABASE, Estate, sql, stock_picture

if TYPE_CHECKING:
    from pathlib import Path

    from tests.database.estate import Keys

TILLS, ORDERS_PER_SECOND = 4, 40
# The moment of death lies between these, in intervals after the first full.
EARLIEST, LATEST = 0.5, 3.5
# A run may take this many times as long as the slowest that ended, and a second, before it counts as hung.
SLOWER, AT_LEAST_S = 3.0, 1.0
_BINLOG_PASSWORD = "seal it"


@dataclass(frozen=True)
class Crash:
    """What came of one crash. ``loss_s`` counts from the first lost receipt to the moment of death."""

    seed: int
    when: str
    printed: int
    lost: int
    loss_s: float
    bound_s: float
    sealed: int
    slowest_s: float
    restore_s: float
    wrong: tuple[str, ...]

    @property
    def failures(self) -> list[str]:
        late = [f"{self.loss_s:.1f} s lost, more than {self.bound_s:.1f} s"] if self.loss_s > self.bound_s else []
        return [*self.wrong, *late]


def crash(root: Path, keys: Keys, target: ThrowawayServer, *, seed: int, interval_s: float) -> Crash:
    """Run one; everything is below *root*."""
    chance = random.Random(seed)  # noqa: S311  # a seed has to repeat it
    source = ThrowawayServer(root / "source", server_id=chance.randrange(1, 1000), extra_args=["--max-binlog-size=64K"])
    source.start()
    try:
        return _crash(root, keys, source, target, chance=chance, seed=seed, interval_s=interval_s)
    finally:
        source.destroy()


def _crash(
    root: Path,
    keys: Keys,
    source: ThrowawayServer,
    target: ThrowawayServer,
    *,
    chance: random.Random,
    seed: int,
    interval_s: float,
) -> Crash:
    estate = Estate(source=source, target=target, keys=keys, root=root)
    sql(source, "DROP DATABASE larapos")
    sql(source, SCHEMA)
    tills = Tills(source, seed=seed, tills=TILLS, per_second=ORDERS_PER_SECOND)
    branch = None
    try:
        time.sleep(chance.uniform(0.1, 0.5))
        dumped = time.monotonic()
        estate.dump()
        branch = _start_branch(root, estate, interval_s)
        began = time.monotonic()
        for moment, what in sorted(_incidents(chance, interval_s)):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            what(estate)
        time.sleep(max(0.0, began + chance.uniform(EARLIEST, LATEST) * interval_s - time.monotonic()))
        died = time.monotonic()
        source.kill()
        os.killpg(branch.pid, signal.SIGKILL)
    finally:
        tills.stop()
        if branch is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(branch.pid, signal.SIGKILL)
            branch.wait()
    logs = root / "evidence"
    logs.mkdir()
    for path in source.datadir.glob("mysql-bin.[0-9]*"):
        shutil.copy(path, logs)
    source.destroy()
    shutil.rmtree(estate.state)
    runs = [json.loads(line) for line in (root / "branch.jsonl").read_text(encoding="utf-8").splitlines()]
    return _judge(estate, tills, runs, seed=seed, dumped=dumped, died=died, interval_s=interval_s)


def _incidents(chance: random.Random, interval_s: float) -> list[tuple[float, Any]]:
    """What else may happen before the end: another full, a restart, a crash that the server recovers from."""
    kinds = [_full, _restart, _recover]
    return [(chance.uniform(0, LATEST * interval_s * 0.7), kind) for kind in kinds if chance.random() < 0.35]


def _full(estate: Estate) -> None:
    estate.dump()


def _restart(estate: Estate) -> None:
    estate.source.stop()
    estate.source.start()


def _recover(estate: Estate) -> None:
    estate.source.kill()
    estate.source.start()


def _start_branch(root: Path, estate: Estate, interval_s: float) -> subprocess.Popen[bytes]:
    sql(
        estate.source,
        f"CREATE USER 'larapee-binlog'@'localhost' IDENTIFIED BY '{_BINLOG_PASSWORD}'; "
        "GRANT REPLICATION SLAVE, BINLOG MONITOR, RELOAD ON *.* TO 'larapee-binlog'@'localhost'",
    )
    option_file = estate.source.write_option_file(root / "binlog.cnf", user="larapee-binlog", password=_BINLOG_PASSWORD)
    request = {
        "branch": "branch-001",
        "database": DATABASE,
        "option_file": str(option_file),
        "local_path": str(estate.local),
        "state_path": str(estate.state),
        "signing_key": str(estate.keys.signing_key),
        "recipients": estate.keys.recipients,
    }
    settings = root / "branch.json"
    settings.write_text(json.dumps({"interval_s": interval_s, "request": request}), encoding="utf-8")
    argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.chaos.branch", str(settings)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with (root / "branch.jsonl").open("wb") as output, (root / "branch.err").open("wb") as errors:
        return subprocess.Popen(argv, stdout=output, stderr=errors, start_new_session=True, env=environment)


def _judge(
    estate: Estate,
    tills: Tills,
    runs: list[dict[str, Any]],
    *,
    seed: int,
    dumped: float,
    died: float,
    interval_s: float,
) -> Crash:
    began = time.monotonic()
    outcome = estate.restore()
    restore_s = time.monotonic() - began
    there = set(sql(estate.target, "SELECT receipt FROM larapos.orders").split())
    printed = {receipt: moment for roll in tills.rolls for receipt, moment in roll.printed.items()}
    returned = {receipt for roll in tills.rolls for receipt in roll.returned}
    asked = {receipt for roll in tills.rolls for receipt in roll.asked}
    lost = [moment for receipt, moment in printed.items() if receipt not in there | returned]
    ended = [run for run in runs if run["event"] == "ends"]
    slowest = max((_seconds(run, runs) for run in ended), default=0.0)
    wrong = [f"{receipt} was never sold" for receipt in sorted(there - printed.keys() - asked)]
    wrong += [f"the tills' roll lacks receipts before {receipt}" for receipt in _out_of_order(tills, there, returned)]
    wrong += _differences(estate, outcome.plan["position"])
    failed = [run for run in ended if "failed" in run]
    wrong += [f"a log run failed: {run['failed']}" for run in failed if not _server_was_down(run)]
    at_work = [run for run in runs if run["event"] == "begins"][len(ended) :]
    return Crash(
        seed=seed,
        when=("while sealing" if at_work else "between two runs") + (", after a run met no server" if failed else ""),
        printed=len(printed),
        lost=len(lost),
        loss_s=died - min(lost) if lost else 0.0,
        bound_s=interval_s * (1 + len(failed)) + max(SLOWER * slowest, AT_LEAST_S) + _late(runs, ended, dumped),
        sealed=sum(1 for run in ended if run.get("artifact")),
        slowest_s=slowest,
        restore_s=restore_s,
        wrong=tuple(wrong),
    )


def _seconds(end: dict[str, Any], runs: list[dict[str, Any]]) -> float:
    (begin,) = (run["at"] for run in runs if run["event"] == "begins" and run["run"] == end["run"])
    return float(end["at"]) - float(begin)


def _late(runs: list[dict[str, Any]], ended: list[dict[str, Any]], dumped: float) -> float:
    """Until the first run has ended, there is only the full, and its timer started when that was made."""
    timer = next((float(run["at"]) for run in runs if run["event"] == "timer starts"), dumped)
    return 0.0 if any(run.get("artifact") for run in ended) else timer - dumped


def _server_was_down(run: dict[str, Any]) -> bool:
    """Restarts are part of the game; the next run has to make up for it, an interval later."""
    return bool(re.search(r"Failed to (connect|query)|Lost connection|Can't connect", run["failed"]))


def _out_of_order(tills: Tills, there: set[str], returned: set[str]) -> list[str]:
    """What a till printed is lost from the end only: the first of each till that is there after one that is not."""
    found = []
    for roll in tills.rolls:
        kept = [receipt in there for receipt in roll.printed if receipt not in returned]
        names = [receipt for receipt in roll.printed if receipt not in returned]
        if False in kept and True in kept[kept.index(False) :]:
            found.append(names[kept.index(False, 0) + kept[kept.index(False) :].index(True)])
    return found


def _differences(estate: Estate, position: dict[str, Any]) -> list[str]:
    """What the stock replay up to *position* has and the restored server has not, or the other way round."""
    logs = sorted((estate.root / "evidence").iterdir())
    files = [str(path) for path in logs if path.name <= position["file"]]
    with ThrowawayServer(estate.root / "oracle", log_bin=False) as oracle:
        replay = ["mariadb-binlog", "--no-defaults", "--verify-binlog-checksum"]
        replay += [f"--stop-position={position['position']}", *files]
        client = ["mariadb", "--no-defaults", f"--socket={oracle.socket}", "--user=root", "--binary-mode"]
        with subprocess.Popen(replay, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
            subprocess.run([*client, "--default-character-set=utf8mb4"], stdin=reader.stdout, check=True)
        assert reader.returncode == 0, reader.args
        expected, found = (_comparable(stock_picture(server)) for server in (oracle, estate.target))
    return [] if expected == found else [f"the restored database is not that of {position['file']}: stock dumps differ"]


def _comparable(picture: str) -> str:
    # A counter counts what was rolled back too.
    return re.sub(r" AUTO_INCREMENT=\d+", "", picture)
