# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/restore-with-stock-tools.md with increments: sealed logs are replayed by the stock client, up to a moment."""

from __future__ import annotations

import dataclasses
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
from ansible_collections.larapee.backup.plugins.module_utils._seal import SealRequest, seal_binlogs
from larapee_runner.demo.accounts import create_log_reader
from tests.database.estate import BRANCH, DATABASE, Estate, sql, stock_picture
from tests.docs.person import MARK, Person, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "reads logs"
TOOLS = ("age", "gzip", "zstd", "tar", "mariadb-binlog")


@dataclasses.dataclass
class Moment:
    """The database, and where its log stood."""

    picture: str
    file: str
    position: int

    def __str__(self) -> str:
        return f"{self.file}:{self.position}"


class Branch:
    """Seals its log; what happens in the shop are statements."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        create_log_reader(estate.source, password=PASSWORD)
        self.option_file = estate.source.write_option_file(
            estate.root / "binlog.cnf", user="larapee-binlog", password=PASSWORD
        )

    def seal(self) -> Manifest:
        estate = self.estate
        outcome = seal_binlogs(
            SealRequest(
                branch=BRANCH,
                database=DATABASE,
                option_file=str(self.option_file),
                local_path=str(estate.local),
                state_path=str(estate.state),
                run_id=str(uuid.uuid4()),
                signing_key=str(estate.keys.signing_key),
                recipients=estate.keys.recipients,
            )
        )
        assert outcome.manifest is not None, outcome
        return outcome.manifest

    def full(self) -> Manifest:
        manifest = self.estate.dump().manifest
        assert manifest is not None
        return manifest

    def sell(self, note: str) -> Moment:
        """One sale with a row change of each kind, and a definition whose default database is another one."""
        source = self.estate.source
        sql(source, f"INSERT INTO orders (total, note, slip) VALUES (1.5, '{note} 😀', x'00FF27')", database=DATABASE)
        sql(
            source,
            f"UPDATE orders SET note = '{note}' WHERE id = 1; DELETE FROM order_items LIMIT 1",
            database=DATABASE,
        )
        sql(source, f"CREATE TABLE larapos.`of {note}` (id INT PRIMARY KEY)", database="mysql")
        return self.moment()

    def moment(self) -> Moment:
        file, position = sql(self.estate.source, "SHOW MASTER STATUS").split()[:2]
        return Moment(stock_picture(self.estate.source), file, int(position))


OTHER_SCHEMAS = (
    "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA "
    "WHERE SCHEMA_NAME NOT IN ('larapos', 'mysql', 'information_schema', 'performance_schema', 'sys')"
)


@pytest.fixture
def branch(estate: Estate) -> Branch:
    return Branch(estate)


@pytest.fixture
def person(estate: Estate, tmp_path: Path) -> Iterator[Person]:
    # The servers are shared with other tests, which may have left a schema of their own there.
    for name in sql(estate.target, OTHER_SCHEMAS).split():
        sql(estate.target, f"DROP DATABASE `{name}`")
    someone = Person(estate, directory=tmp_path)
    someone.client = estate.target.write_option_file(tmp_path / "root.cnf", user="root", password="")
    yield someone
    sql(estate.target, "SET GLOBAL event_scheduler = OFF, GLOBAL gtid_strict_mode = 0")


def next_second() -> str:
    """Sleep into a new second; what was committed before it, and only that, is before the time returned."""
    begun = datetime.now(UTC)
    time.sleep(1.01 - begun.microsecond / 1e6)
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def restores(person: Person, moment: Moment, *, until: str) -> None:
    person.until = until
    done = person.follows()
    assert done.returncode == 0, done.stdout + done.stderr
    assert stock_picture(person.estate.target) == moment.picture
    assert MARK not in sql(person.estate.target, "SHOW TABLES FROM larapos")


def test_latest_is_all_that_was_sealed(branch: Branch, person: Person) -> None:
    """Several files in one increment, an older full before the chain, and a target that has had higher GTIDs."""
    branch.full()
    branch.sell("before the full")
    branch.seal()
    branch.sell("in the file in which the full is")
    full = branch.full()
    branch.sell("first")
    sql(branch.estate.source, "FLUSH BINARY LOGS")
    branch.sell("second")
    branch.seal()
    last = branch.sell("third")
    sealed = branch.seal()
    branch.sell("never sealed")
    person.takes(full.artifact, *TOOLS)
    higher = "SET gtid_domain_id = 1, gtid_seq_no = 1000000; CREATE DATABASE higher; DROP DATABASE higher"
    sql(person.estate.target, higher)
    restores(person, last, until="latest")
    assert [path.name for path in sorted(person.logs.iterdir())][-1] == sealed.position["file"]


@pytest.mark.parametrize("where", ["in the first file", "in a later file"])
def test_a_time_is_exclusive_and_a_position_inclusive(branch: Branch, person: Person, where: str) -> None:
    full = branch.full()
    if where == "in a later file":
        branch.sell("earlier")
        branch.seal()
    time.sleep(1.1)
    last = branch.sell("wanted")
    then = next_second()
    first_after = branch.sell("too late")
    branch.sell("much too late")
    branch.seal()
    branch.sell("later still")
    next_second()
    branch.seal()
    person.takes(full.artifact, *TOOLS)
    restores(person, last, until=then)
    for wanted, until in (
        (last, str(last)),
        (first_after, str(first_after)),
        (last, f"{last.file}:{last.position + 9}"),
    ):
        sql(person.estate.target, "DROP DATABASE larapos")
        person.logs = person.logs.with_name(person.logs.name + "x")
        restores(person, wanted, until=until)
    sql(person.estate.target, "DROP DATABASE larapos")
    person.until = "full"
    person.logs = person.logs.with_name("none")
    assert person.follows().returncode == 0
    assert "of wanted" not in sql(person.estate.target, "SHOW TABLES FROM larapos")
    assert not person.logs.exists()


def test_what_was_not_sealed_is_refused(branch: Branch, person: Person) -> None:
    moment = branch.moment()
    full = branch.full()
    branch.sell("one")
    branch.seal()
    person.takes(full.artifact, *TOOLS)
    for number, (until, words) in enumerate(
        {
            "2099-01-01T00:00:00": "the increments lead up to 20",
            "2020-01-01T00:00:00": "this full is younger than 2020",
            f"{moment.file}:9999999": "no increment holds",
            "mysql-bin.999998:4": "no increment holds",
            f"{moment.file}:4": "this full is younger than",
        }.items()
    ):
        person.until = until
        person.logs = person.logs.with_name(f"logs {number}".replace(" ", "-"))
        person.is_stopped(words)
    assert schemas(person.estate) == []


def test_a_server_that_was_killed_in_between(branch: Branch, person: Person) -> None:
    """Its last file was never closed, and what was open in it did not take place."""
    full = branch.full()
    branch.sell("first")
    source = branch.estate.source
    with closing(source.connect(database=DATABASE)) as open_sale, open_sale.cursor() as cursor:
        open_sale.begin()
        cursor.execute("INSERT INTO orders (total, note) VALUES (99, 'never paid')")
        source.kill()
    source.start()
    branch.sell("second")
    branch.seal()
    last = branch.sell("third")
    branch.seal()
    person.takes(full.artifact, *TOOLS)
    restores(person, last, until="latest")


def test_a_missing_increment_ends_the_chain(branch: Branch, person: Person) -> None:
    full = branch.full()
    last = branch.sell("first")
    branch.seal()
    branch.sell("second")
    missing = branch.seal().artifact
    branch.sell("third")
    branch.seal()
    person.takes(full.artifact, *TOOLS)
    for path in person.place.glob(f"{missing}*"):
        path.unlink()
    person.until = "latest"
    done = person.follows()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"BROKEN: {missing} is missing" in done.stdout
    assert stock_picture(person.estate.target) == last.picture


@pytest.mark.parametrize("damage", ["byte", "signature", "of another branch"])
def test_a_wrong_increment_stops_before_anything_is_loaded(branch: Branch, person: Person, damage: str) -> None:
    full = branch.full()
    branch.sell("one")
    sealed = branch.seal().artifact
    person.takes(full.artifact, *TOOLS)
    path = person.place / sealed
    manifest = path.with_name(f"{sealed}.manifest.json")
    if damage == "byte":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        person.is_stopped("not the one that was signed")
    elif damage == "signature":
        manifest.write_text(manifest.read_text().replace('"transactions": ', '"transactions": 1'))
        person.is_stopped("not signed by branch-001", sealed)
    else:
        manifest.write_text(manifest.read_text().replace('"branch-001"', '"branch-002"'))
        person.is_stopped("not signed by branch-001", sealed)
    assert schemas(person.estate) == []


def test_a_server_that_is_not_empty_or_quiet_is_refused(branch: Branch, person: Person) -> None:
    full = branch.full()
    branch.sell("one")
    branch.seal()
    person.takes(full.artifact, *TOOLS)
    sql(person.estate.target, "CREATE DATABASE accounting")
    try:
        person.is_stopped("no other schemas, here are accounting")
    finally:
        sql(person.estate.target, "DROP DATABASE accounting")
    for setting in ("event_scheduler", "gtid_strict_mode"):
        person.logs = person.logs.with_name(setting)
        sql(person.estate.target, f"SET GLOBAL {setting} = ON")
        person.is_stopped(f"{setting} must be OFF")
        sql(person.estate.target, f"SET GLOBAL {setting} = OFF")
    assert schemas(person.estate) == []


def test_a_replay_that_breaks_off_leaves_a_mark(branch: Branch, person: Person) -> None:
    """By an account that may fill the schema, and replay nothing."""
    full = branch.full()
    branch.sell("one")
    branch.seal()
    person.takes(full.artifact, *TOOLS)
    sql(person.estate.target, "GRANT ALL ON larapos.* TO 'larapee-restore'@'localhost'")
    person.client = person.estate.restorer_file
    person.is_stopped("ERROR 1227", "the replay broke off (mariadb-binlog, mariadb ended with ")
    assert MARK in sql(person.estate.target, "SHOW TABLES FROM larapos")
