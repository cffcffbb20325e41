# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module catalog_info as Ansible runs it, against its published schema."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import Place, log_files

TOP = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((TOP / "docs/schemas/catalog_info.schema.json").read_text(encoding="utf-8"))
FULL, LOST = "db-20261122-1400.sql.gz", "db-20261122-1415.binlog.zst"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two increments after a full, one of them lost; a result, a tip without signature, and something broken."""
    root = tmp_path_factory.mktemp("place")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "branch-001")], check=True)
    (root / "allowed_signers").write_text(
        f'branch-001 namespaces="larapee-backup" {(root / "branch-001.pub").read_text()}'
    )
    place = Place(root / "local", root)
    stands = {"file": "mysql-bin.000006", "position": 4, "gtid": "", "time": "2026-11-22T14:00:00Z"}
    place.put(FULL, start=stands, end=stands, set=1)
    previous = FULL
    for number, minute in enumerate(("10", "15", "20"), start=6):
        name = f"db-20261122-14{minute}.binlog.zst"
        files = log_files(number, number, before=number - 6, after=number - 5)
        place.put(name, sequence=number - 5, **files, base=FULL, previous=previous)
        previous = name
    for path in place.directory.glob(f"{LOST}*"):
        path.unlink()
    place.put("public-uploads-20261122-1401.tar.zst")
    place.put("config-20261122-1401.tar.zst")
    sha256 = json.loads((place.directory / f"{FULL}.manifest.json").read_bytes())["sha256"]
    level = {"status": "OK", "reason": "", "at": "2026-11-22T15:00:00Z"}
    result = {"schema": 1, "artifact": FULL, "sha256": sha256, "levels": {"intact": level}}
    (place.directory / f"{FULL}.verified.json").write_text(json.dumps(result))
    (place.directory / "db-20261122-1600.sql.gz.manifest.json").write_text("{")
    tip = {"branch": "branch-001", "created_at": "2026-11-22T14:21:00Z", "set": 1, "parts": {}}
    (place.directory / "tip.json").write_text(json.dumps(tip))
    return place


def run(place: Place, *arguments: str, **options: str) -> dict[str, Any]:
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]),
        "HOME": str(place.keys),
        "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(TOP / "ansible.cfg"),
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        "ANSIBLE_NOCOLOR": "1",
    }
    wanted = json.dumps({"local_path": str(place.directory), **options})
    done = subprocess.run(
        ["ansible", "localhost", "-m", "larapee.backup.catalog_info", "-a", wanted, *arguments]
        + ["-e", json.dumps({"ansible_python_interpreter": sys.executable})],
        cwd=TOP,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    word, _arrow, answer = done.stdout.partition("=>")
    assert ("SUCCESS" in word) == (done.returncode == 0), done.stdout + done.stderr
    document: dict[str, Any] = json.loads(answer)
    return document


def test_its_answer_is_what_the_schema_says_and_check_mode_says_the_same(place: Place) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    answers = [run(place, *arguments) for arguments in ((), ("--check",))]
    infos = [answer["info"] for answer in answers]
    for answer, info in zip(answers, infos, strict=True):
        assert answer["changed"] is False
        jsonschema.Draft202012Validator(SCHEMA).validate(info)
        info.pop("generated_at")
        info["branches"][0].pop("age_s")
    assert infos[0] == infos[1]
    (branch,) = infos[0]["branches"]
    assert branch["recoverable"]["until"] == "2026-11-22T14:10:00Z"
    assert f"{LOST} is missing" in branch["recoverable"]["gaps"][0]["why"]
    assert branch["tip"]["signature_checked"] is False
    assert list(infos[0]["problems"]) == ["db-20261122-1600.sql.gz.manifest.json"]


def test_the_schema_would_notice_what_is_wrong(place: Place) -> None:
    info = run(place)["info"]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for path in (
        ("branches", 0, "recoverable", "gaps", 0, "why"),
        ("branches", 0, "age_s"),
        ("rpo_s",),
        ("branches", 0, "astray"),
    ):
        wrong = copy.deepcopy(info)
        holder = wrong
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = []
        assert not validator.is_valid(wrong), path
        del holder[path[-1]]
        assert not validator.is_valid(wrong), path


def test_with_allowed_signers_the_tip_has_to_be_signed(place: Place) -> None:
    (branch,) = run(place, allowed_signers=place.allowed_signers)["info"]["branches"]
    assert branch["tip"] is None
    assert branch["tip_problem"]


def test_a_place_that_is_not_there_is_a_failure_with_a_reason(place: Place) -> None:
    answer = run(place, local_path=str(place.directory / "nowhere"))
    assert answer["reason"] == "no_directory"
