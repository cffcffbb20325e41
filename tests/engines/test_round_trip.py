# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shop that sells while its definitions change, its server killed, and what each restore brings back, compared."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines.branch import BRANCH, Branch
from tests.engines.facts import differences, facts
from tests.engines.shop import DATABASE, OTHER
from tests.engines.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.engines.branch import Keys
    from tests.engines.servers import Server

# One branch for all of them.
pytestmark = pytest.mark.xdist_group("round-trip")
# Small, so that the log changes its file in the middle of everything.
LOG_BYTES = 100 * 1024
SCHEDULER = "--event-scheduler=OFF"
# The server that is restored to has a schema of that name too, and it is none of the branch's.
ELSEWHERE = f"CREATE DATABASE {OTHER}; CREATE TABLE {OTHER}.orders (mine INT); INSERT INTO {OTHER}.orders VALUES (1)"


@dataclasses.dataclass(frozen=True)
class Moment:
    """Where the log stood while nobody wrote, and all that was in the shop's schema then."""

    file: str
    position: int
    gtid: str
    # The first second in which something was written again.
    until: datetime
    facts: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Story:
    """One branch at three moments; nothing after the last one was sealed before its server was killed."""

    branch: Branch
    moments: dict[str, Moment]


def seen(source: Server) -> Moment:
    file, position, gtid = source.position()
    found = facts(source, DATABASE)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    while datetime.now(UTC) < until:
        time.sleep(0.02)
    assert source.position()[2] == gtid
    return Moment(file=file, position=position, gtid=gtid, until=until, facts=found)


def last_gtid(state: str) -> str:
    """Of all that was committed: MySQL writes ranges, MariaDB the last number."""
    ranges = re.fullmatch(r"(.+:)(?:.*[-:])?([0-9]+)", state)
    return f"{ranges[1]}{ranges[2]}" if ranges else state


@pytest.fixture(scope="module")
def story(make_server: Callable[..., Server], keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
    sys.stdout.write(f"SEED={seed}\n")
    moments: dict[str, Moment] = {}
    with (
        make_server("--server-id=1", SCHEDULER, f"--max-binlog-size={LOG_BYTES}") as source,
        make_server("--server-id=2", SCHEDULER) as target,
        Workload(source, seed=seed) as workload,
    ):
        root = tmp_path_factory.mktemp("branch")
        branch = Branch(source=source, target=target, keys=keys, root=root, database=DATABASE)
        for role in ("operator", "binlog", "restorer"):
            branch.account(role)
        target.sql(ELSEWHERE)
        workload.go_round()
        # What becomes of migrations during a dump has tests of its own.
        with workload.no_migration():
            assert branch.dump().manifest is not None
        workload.go_round()
        branch.seal()
        for name in ("early", "middle"):
            with workload.quiet():
                moments[name] = seen(source)
            workload.go_round()
            # No snapshot knows the rows of a partition that is truncated meanwhile.
            with workload.no_migration():
                branch.seal(fingerprint=True)
        with workload.quiet():
            moments["last"] = seen(source)
            branch.seal()
        workload.go_round()
        source.kill()
        workload.stop()
        sys.stdout.write(f"{sum(workload.done.values())} actions, refused {dict(workload.refused)}\n")
        yield Story(branch=branch, moments=moments)


def check(story: Story, to: str, moment: str, **changes: Any) -> None:
    """Restore *to*, and compare all of the schema with what it was at that moment."""
    branch = story.branch
    outcome = branch.restore(to=to, confirm=BRANCH, **changes)
    assert len(outcome.entries) > 1
    database = changes.get("database", DATABASE)
    found = differences(story.moments[moment].facts, facts(branch.target, database))
    assert not found, "\n".join(found)
    assert branch.target.sql(f"SELECT mine FROM {OTHER}.orders") == "1\n"


def test_latest_is_what_was_sealed_last(story: Story) -> None:
    check(story, "latest", "last")


def test_a_time_brings_all_before_it_and_nothing_of_it(story: Story) -> None:
    check(story, story.moments["middle"].until.strftime("%Y-%m-%dT%H:%M:%SZ"), "middle")


def test_a_gtid_brings_its_transaction_and_none_after_it(story: Story) -> None:
    check(story, f"gtid:{last_gtid(story.moments['early'].gtid)}", "early")


def test_a_position_brings_all_that_ends_there(story: Story) -> None:
    found = story.moments["middle"]
    check(story, f"{found.file}:{found.position}", "middle")
