# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one role promises to others: the settings of the timers, and releases whose name tells their content."""

from __future__ import annotations

import importlib.util
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from types import ModuleType

# Of the timers' playbooks: branch_backup, verify, retention.
ROLES = (
    *("guard", "export_runs", "dump_database", "seal_binlogs", "archive_files", "close_set"),
    *("verify", "retention"),
)
# What a person says once, what says which run it is, what is central's; the recipients have a file of their own.
NOT_REPEATED = {
    *("larapee_backup_retention_acknowledge", "larapee_backup_retention_hold", "larapee_backup_retention_pin"),
    "larapee_backup_retention_lost",
    *("larapee_backup_retention_reason", "larapee_backup_retention_release", "larapee_backup_retention_unpin"),
    *(
        "larapee_backup_branch",
        "larapee_backup_branches",
        "larapee_backup_kind",
        "larapee_backup_job",
        "larapee_backup_reports",
    ),
    *("larapee_backup_age_recipients", "larapee_backup_verify_age_identity"),
}


def test_timers_get_every_setting_that_their_roles_take(collection: Path) -> None:
    taken: set[str] = set()
    for role in ROLES:
        spec: dict[str, Any] = yaml.safe_load((collection / f"roles/{role}/meta/argument_specs.yml").read_text())
        taken |= {name for entry in spec["argument_specs"].values() for name in entry.get("options", {})}
    given = yaml.safe_load((collection / "roles/branch/vars/main.yml").read_text())["_branch_settings"]
    assert sorted(taken - NOT_REPEATED) == given


@pytest.fixture
def builder(collection: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_release", collection / "roles/install/files/build_release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(top: Path, tmp_path: Path, files: list[Path]) -> Path:
    copy = tmp_path / "checkout"
    for path in files:
        inside = path.relative_to(top)
        if inside.parts[0] in ("collection", "runner", "requirements"):
            (copy / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy / inside)
    return copy


def test_the_name_of_a_release_changes_with_what_it_holds(builder: ModuleType, checkout: Path) -> None:
    first = builder.release_name(checkout, [])
    assert builder.release_name(checkout, []) == first
    assert builder.release_name(checkout, ["boto3 ~=1.44"]) != first
    cache = checkout / "runner/src/larapee_runner/__pycache__"
    cache.mkdir()
    (cache / "cli.pyc").write_bytes(b"")
    assert builder.release_name(checkout, []) == first
    with (checkout / "runner/src/larapee_runner/cli.py").open("a") as source:
        source.write("# changed\n")
    assert builder.release_name(checkout, []) != first


def test_requirements_are_those_of_the_hosts_python_not_of_ours(builder: ModuleType, checkout: Path) -> None:
    ansible = {
        python: [line for line in builder.requirements_for(checkout, python, []) if line.startswith("ansible-core")]
        for python in ("3.11", "3.13")
    }
    assert ansible == {"3.11": ["ansible-core~=2.19.0"], "3.13": ["ansible-core~=2.21.0"]}


def test_a_build_that_fails_leaves_no_archive(
    builder: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    into = tmp_path / "release.tar"
    arguments = {"python": "3.11", "machine": "x86_64", "extra": [], "download": False}
    real = tarfile.TarFile.add

    def die_half_way(tar: tarfile.TarFile, name: str, **options: Any) -> None:
        real(tar, name, **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(builder, "_run", lambda argv: _pretend(argv))
    with monkeypatch.context() as half:
        half.setattr(tarfile.TarFile, "add", die_half_way)
        with pytest.raises(OSError, match="No space"):
            builder.build(checkout, into, **arguments)
    assert not into.exists()
    builder.build(checkout, into, **arguments)
    with tarfile.open(into) as tar:
        assert {"collection.tar.gz", "requirements.txt", "wheels"} <= set(tar.getnames())


def _pretend(argv: list[str]) -> None:
    if "build" in argv:
        (Path(argv[argv.index("--output-path") + 1]) / "larapee-backup-0.1.0.tar.gz").write_bytes(b"archive")
