# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check of the doctor has a machine that passes it and one that does not."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import uuid
from importlib import metadata
from pathlib import Path

import pytest

from larapee_runner import __version__, doctor
from larapee_runner.collection import available_kinds, collection_version, find_collection, search_paths
from larapee_runner.doctor import Surroundings, examine
from larapee_runner.recorder import Journal, Recorder, RunRecord, Settings

from .conftest import COLLECTIONS, Project

TOOLS = ("age", "gzip", "zstd", "ssh-keygen", "mysqldump", "mysql")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return Settings(runs_url=f"sqlite:///{state}/runs.sqlite", state_path=state, config_path=tmp_path / "config.yml")


def tools(directory: Path, *, without: str = "") -> str:
    directory.mkdir()
    for name in TOOLS:
        if name != without:
            (directory / name).touch(mode=0o755)
    return str(directory)


def test_all_tools(tmp_path: Path) -> None:
    checks = doctor.check_tools(tools(tmp_path / "bin"))
    assert [check.state for check in checks] == ["OK"] * 6
    assert checks[4].detail.endswith("/mysqldump")


@pytest.mark.parametrize("name", TOOLS)
def test_a_missing_tool_fails_and_names_its_package(name: str, tmp_path: Path) -> None:
    failed = [check for check in doctor.check_tools(tools(tmp_path / "bin", without=name)) if check.state != "OK"]
    assert [check.state for check in failed] == ["FAIL"]
    assert name in failed[0].name
    assert failed[0].advice.startswith("Install ")


@pytest.mark.parametrize(("version", "state"), [((3, 11, 2), "OK"), ((3, 13, 0), "OK"), ((3, 10, 9), "FAIL")])
def test_python(version: tuple[int, ...], state: str) -> None:
    assert doctor.check_python(version).state == state


@pytest.mark.parametrize(
    ("core", "runner", "states"),
    [
        ("2.19.14", "2.4.3", ["OK", "OK"]),
        ("2.21.5", "3.0.0", ["OK", "OK"]),
        ("2.18.19", "2.4.3", ["FAIL", "OK"]),
        ("2.19.0", None, ["OK", "FAIL"]),
    ],
)
def test_packages(core: str, runner: str | None, states: list[str]) -> None:
    def version_of(name: str) -> str:
        version = {"ansible-core": core, "ansible-runner": runner}[name]
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    assert [check.state for check in doctor.check_packages(version_of)] == states


def test_config_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    assert doctor.check_config(path).state == "WARN"
    path.touch(mode=0o644)
    assert doctor.check_config(path).state == "OK"
    path.chmod(0o666)
    assert doctor.check_config(path).state == "FAIL"


def test_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert doctor.check_state(state).state == "WARN"
    state.mkdir(mode=0o700)
    assert doctor.check_state(state).state == "OK"
    state.chmod(0o755)
    assert doctor.check_state(state).state == "WARN"
    (tmp_path / "file").touch()
    assert doctor.check_state(tmp_path / "file" / "state").state == "FAIL"
    assert doctor.check_state(tmp_path / "file").state == "FAIL"


def pending(run_id: str) -> RunRecord:
    return RunRecord.pending(run_id=run_id, playbook="play.yml", launcher="cli")


def test_journal(settings: Settings) -> None:
    assert doctor.check_journal(settings).state == "OK"
    recorder, run_id = Recorder(settings, witness="wrapper"), str(uuid.uuid4())
    with recorder.hold(run_id):
        recorder.record([pending(run_id)], table=False)
        assert doctor.check_journal(settings).state == "OK"
    assert doctor.check_journal(settings).advice == "End their rows: larapee-backup journal reconcile"
    recorder.record([pending(run_id).ended("failed", error="x")], table=False)
    assert doctor.check_journal(settings).advice == "Write them there: larapee-backup journal flush"
    Journal(settings.state_path, witness="wrapper").path(run_id).write_text("{")
    assert doctor.check_journal(settings).state == "FAIL"


def test_a_latch_that_somebody_forgot(tmp_path: Path) -> None:
    assert doctor.check_latch(tmp_path).state == "OK"
    directory = tmp_path / "latch"
    directory.mkdir()
    assert doctor.check_latch(tmp_path).state == "OK"
    document = {"schema": 1, "because": "restore to latest", "at": "2026-11-22T14:02:11Z", "run_id": "r"}
    (directory / "branch-001.json").write_text(json.dumps(document), encoding="ascii")
    found = doctor.check_latch(tmp_path)
    assert found.state == "WARN"
    assert found.detail == "no backups are taken of branch-001: restore to latest, since 2026-11-22T14:02:11Z"
    assert "larapee.backup.open" in found.advice
    (directory / "branch-001.json").write_bytes(b"[]")
    assert "nobody knows why" in doctor.check_latch(tmp_path).detail
    directory.rename(tmp_path / "another")
    directory.write_bytes(b"")
    assert doctor.check_latch(tmp_path).state == "NOT RUN"


def test_a_file_set_aside_is_not_forgotten(settings: Settings) -> None:
    directory = Journal(settings.state_path).directory
    directory.mkdir()
    (directory / "x.json.damaged").touch()
    assert doctor.check_journal(settings).state == "FAIL"


def test_table(settings: Settings, tmp_path: Path) -> None:
    assert doctor.check_table(settings).state == "WARN"
    assert not (settings.state_path / "runs.sqlite").exists()
    Recorder(settings, witness="wrapper").record([pending(str(uuid.uuid4()))])
    assert doctor.check_table(settings).state == "OK"
    (settings.state_path / "runs.sqlite").write_bytes(b"no database" * 100)
    assert doctor.check_table(settings).state == "FAIL"
    url = f"mysql+pymysql://127.0.0.1:1/runs?read_default_file={tmp_path}/none.cnf"
    unreachable = doctor.check_table(Settings(runs_url=url, state_path=settings.state_path, config_path=tmp_path))
    assert unreachable.state == "FAIL"


@pytest.mark.parametrize(("answer", "state"), [(True, "OK"), (False, "WARN"), (None, "NOT RUN")])
def test_clock(answer: bool | None, state: str) -> None:
    assert doctor.check_clock(lambda: answer).state == state


def test_each_warning_says_what_to_do(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    open_state = tmp_path / "open"
    open_state.mkdir(mode=0o755)
    around = Surroundings({"ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "HOME": str(tmp_path)}, tmp_path)
    collection_at(tmp_path, "0.0.0")
    warnings = [
        doctor.check_config(tmp_path / "none.yml"),
        doctor.check_state(tmp_path / "none"),
        doctor.check_state(open_state),
        doctor.check_table(settings),
        doctor.check_collection(around),
        doctor.check_clock(lambda: False),
    ]
    assert {check.state for check in warnings} == {"WARN"}
    orders = ("Write ", "Do nothing: ", "Close it: chmod 700 ", "Install ", "Recovery points are times. Switch it on: ")
    assert [check.advice for check in warnings if not check.advice.startswith(orders)] == []


def collection_at(path: Path, version: str) -> Path:
    collection = path / "ansible_collections/larapee/backup"
    (collection / "playbooks").mkdir(parents=True)
    (collection / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": version}}))
    return collection


def test_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    environ = {"ANSIBLE_COLLECTIONS_PATH": "here:there", "HOME": str(tmp_path)}
    around = Surroundings(environ, tmp_path)
    assert doctor.check_collection(around).state == "FAIL"
    found = collection_at(tmp_path / "there", "0.0.0")
    assert doctor.check_collection(around).state == "WARN"
    (found / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": __version__}}))
    assert doctor.check_collection(around).state == "OK"


def test_the_collection_is_found_where_ansible_finds_it(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir(mode=0o755)
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncollections_path = below/collections\n")
    found = collection_at(below / "collections", "1.0.0")
    environ = {"ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}
    assert find_collection(environ, below) == found
    assert search_paths({"HOME": str(tmp_path)}, below)[0] == Path("~/.ansible/collections").expanduser()
    assert find_collection({"ANSIBLE_COLLECTIONS_PATH": "collections/ansible_collections"}, below) == found


def test_what_the_installation_can_do_is_what_its_collection_holds(tmp_path: Path) -> None:
    collection = collection_at(tmp_path, "1.0.0")
    assert available_kinds(None) == available_kinds(collection) == frozenset()
    (collection / "playbooks/branch_backup.yml").touch()
    (collection / "playbooks/verify.yml").touch()
    assert available_kinds(collection) == {"full", "verify"}
    assert collection_version(collection) == "1.0.0"
    (collection / "MANIFEST.json").write_text("{")
    assert collection_version(collection) == "unknown"


def test_the_versions_of_command_and_collection_agree() -> None:
    assert collection_version(COLLECTIONS / "ansible_collections/larapee/backup") == __version__


def preflight(settings: Settings, environ: dict[str, str]) -> dict[str, str]:
    around = Surroundings(environ, settings.state_path)
    return {check.name: check.state for check in doctor.check_preflight(around, settings)}


def test_preflight(settings: Settings, tmp_path: Path) -> None:
    here = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
    assert preflight(settings, here) == {"preflight": "OK"}
    option_file = tmp_path / "operator.cnf"
    option_file.touch()
    option_file.chmod(0o644)
    (tmp_path / "notes").write_text("AGE-SECRET-KEY-1" + "Q" * 58)
    remote = dataclasses.replace(settings, runs_url="mysql+pymysql://db.example.com/runs?allow_plaintext=1")
    assert preflight(remote, here) == {
        "preflight identities": "FAIL",
        "preflight option_files": "FAIL",
        "preflight runs_tls": "FAIL",
    }
    (found,) = [each for each in doctor.check_preflight(Surroundings(here, tmp_path), settings) if "ident" in each.name]
    assert str(tmp_path / "notes") in found.detail
    assert found.advice.startswith("Move it to the restorer's medium")


def test_preflight_of_central(settings: Settings, tmp_path: Path) -> None:
    for name in ("pull_key", "acknowledge_key"):
        (tmp_path / "ssh" / name).mkdir(parents=True)
    (tmp_path / "allowed_signers").write_text("branch-001 ssh-ed25519 AAAA one\nbranch-002 ssh-ed25519 AAAA other\n")
    here = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
    assert preflight(settings, here) == {"preflight shared_keys": "FAIL"}


def test_a_preflight_that_cannot_be_run_is_not_green(settings: Settings, tmp_path: Path) -> None:
    elsewhere = {"HOME": str(tmp_path), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
    other = tmp_path / "ansible_collections/larapee/backup"
    other.mkdir(parents=True)
    (other / "galaxy.yml").touch()
    assert preflight(settings, elsewhere) == {"preflight": "NOT RUN"}


def test_callback_loads_as_ansible_loads_it(project: Project) -> None:
    around = Surroundings(project.environ(), project.path)
    assert doctor.check_callback(around).state == "OK", doctor.check_callback(around).detail


def test_callback_that_is_not_found(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
    check = doctor.check_callback(Surroundings(environ, tmp_path))
    assert check.state == "FAIL"
    assert "not found" in check.detail


def test_configuration_that_cannot_be_read_leaves_no_gap(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LARAPEE_BACKUP_CONFIG": str(tmp_path / "none.yml")}
    states = {check.name: check.state for check in examine(Surroundings(environ, tmp_path))}
    assert states["configuration"] == "FAIL"
    assert {states[name] for name in ("state directory", "latch", "journal", "runs table", "preflight")} == {"NOT RUN"}


def test_the_command_fails_when_a_check_does(project: Project) -> None:
    code, report = project.json("doctor")
    assert (code, report["ok"]) == (0, True), report
    assert {check["name"] for check in report["checks"]} >= {"python", "age", "journal", "callback", "clock"}
    (project.path / "state").touch()
    code, report = project.json("doctor")
    assert (code, report["ok"]) == (1, False)


def test_the_probe_of_the_callback_records_nothing(project: Project) -> None:
    project.command("doctor")
    assert not project.state.exists()
