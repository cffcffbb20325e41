# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _manifest
from ansible_collections.larapee.backup.plugins.module_utils._manifest import ManifestError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import manifest_document, utc

ENCRYPTED = "db-20261122-1432-07.sql.zst.age"
MISSING = object()


def check(name: str = "db-20261122-1432.sql.gz", **changes: Any) -> _manifest.Manifest:
    document = manifest_document(name, **{field: value for field, value in changes.items() if value is not MISSING})
    for field, value in changes.items():
        if value is MISSING:
            del document[field]
    return _manifest.check_manifest(document)


def test_the_attributes_are_those_of_the_document() -> None:
    document = manifest_document(ENCRYPTED, sequence=7)
    manifest = _manifest.check_manifest(document)
    assert (manifest.artifact, manifest.kind, manifest.sequence) == (ENCRYPTED, "db_full", 7)
    assert (manifest.compression, manifest.encrypted) == ("zstd", True)
    assert manifest.created_at == utc("2026-11-22 14:32:07")
    assert manifest.position == document["end"]


def test_unknown_fields_are_kept_byte_for_byte() -> None:
    later = {"später": [1, {"deep": None}], "objects": {"tables": 1, "packages": 3}}
    manifest = check(**later)
    raw = _manifest.manifest_bytes(manifest)
    again = _manifest.parse_manifest(raw)
    assert again.document["später"] == later["später"]
    assert again.document["objects"] == later["objects"]
    assert _manifest.manifest_bytes(again) == raw
    assert raw == (json.dumps(json.loads(raw), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


@pytest.mark.parametrize(
    "field",
    [
        *("schema", "artifact", "branch", "kind", "format", "sequence", "epoch", "created_at", "run_id"),
        *("size", "sha256", "plain_size", "plain_sha256", "compression", "encryption", "base", "previous"),
        *("tool_versions", "engine", "version", "database", "schema_character_set", "schema_collation", "objects"),
        *("start", "end", "server_id", "longest_line", "ddl_guard", "epoch_reason"),
    ],
)
def test_a_missing_field_is_refused_by_name(field: str) -> None:
    with pytest.raises(ManifestError, match=rf"\b{field}\b"):
        check(**{field: MISSING})


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("schema", 2, "its schema is 2, this version reads 1"),
        ("schema", "1", "the field schema is missing or not a int"),
        ("artifact", "db-20261122.sql.gz", "the field artifact is not an artifact's name"),
        ("artifact", "../db-20261122-1432.sql.gz", "the field artifact is not an artifact's name"),
        ("kind", "config", "kind, compression or encryption contradict"),
        ("compression", "zstd", "kind, compression or encryption contradict"),
        ("encryption", {"recipients": ["age1"]}, "kind, compression or encryption contradict"),
        ("encryption", [], "the field encryption is missing or not a dict"),
        ("branch", "../branch-002", "the field branch is not a branch's code"),
        ("branch", None, "the field branch is missing or not a str"),
        ("epoch", "first", "the field epoch is not a UUID"),
        ("run_id", "7", "the field run_id is not a UUID"),
        ("sha256", "A" * 64, "the field sha256 is not a SHA-256"),
        ("sha256", "a" * 63, "the field sha256 is not a SHA-256"),
        ("plain_sha256", "a" * 64 + "\n", "the field plain_sha256 is not a SHA-256"),
        ("size", -1, "the field size is out of range"),
        ("plain_size", 1.5, "the field plain_size is missing or not a int"),
        ("sequence", 0, "the field sequence is out of range"),
        ("created_at", "2026-11-22 14:32:10", "the field created_at is not a time in UTC"),
        ("created_at", "2026-11-22T14:32:10+02:00", "the field created_at is not a time in UTC"),
        ("created_at", "2026-02-30T14:32:10Z", "the field created_at is not a time in UTC"),
        ("format", 1, "the field format is missing or not a str"),
        ("previous", 1, "the field previous is missing or not a str"),
        ("tool_versions", "igzip", "the field tool_versions is missing or not a dict"),
        ("engine", None, "the field engine is missing or not a str"),
        ("schema_collation", 8, "the field schema_collation is missing or not a str"),
        ("end", [], "the field end is missing or not a dict"),
        ("objects", {}, "the field objects has no counts"),
        ("objects", {"tables": "4"}, "the field objects has no counts"),
        ("objects", {"tables": -4}, "the field objects has no counts"),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: object, why: str) -> None:
    with pytest.raises(ManifestError, match=why):
        check(**{field: value})


@pytest.mark.parametrize("field", ["schema", "sequence", "size", "plain_size", "server_id", "longest_line"])
def test_true_is_not_a_number(field: str) -> None:
    with pytest.raises(ManifestError, match=f"the field {field} is missing or not a int"):
        check(**{field: True})


def test_true_is_not_a_count() -> None:
    with pytest.raises(ManifestError, match="objects"):
        check(objects={"tables": True})


@pytest.mark.parametrize(("encryption", "name"), [(None, ENCRYPTED), ({}, ENCRYPTED)])
def test_an_encrypted_name_needs_recipients(encryption: object, name: str) -> None:
    with pytest.raises(ManifestError, match="contradict"):
        check(name, encryption=encryption)


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("public-uploads-20261122-1432.tar.zst", ("engine", "version", "database", "objects", "start", "end")),
        ("config-20261122-1432.tar.zst", ("engine", "version", "database", "objects", "start", "end")),
        ("db-20261122-1432.binlog.zst", ("objects", "schema_collation", "longest_line", "ddl_guard", "epoch_reason")),
    ],
)
def test_each_kind_needs_only_its_own_fields(name: str, without: tuple[str, ...]) -> None:
    manifest = check(name, **dict.fromkeys(without, MISSING))
    assert manifest.artifact == name
    assert bool(manifest.position) == name.startswith("db-")


UPLOADS = "public-uploads-20261122-1432.incr.tar.zst"


@pytest.mark.parametrize("field", ["base", "previous", "entries", "deletions", "tree", "problems", "companion"])
def test_an_artifact_of_files_needs_its_counts_and_what_it_stands_on(field: str) -> None:
    assert check(UPLOADS).set_number == 1
    with pytest.raises(ManifestError, match=rf"\b{field}\b"):
        check(UPLOADS, **{field: MISSING})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"base": None}, "the field base"),
        ({"entries": -1}, "the field entries is out of range"),
        ({"tree": {"entries": 1}}, "the field bytes is missing"),
        ({"problems": {"changed": 0, "vanished": 0, "unreadable": True, "skipped": 0}}, "the field unreadable"),
        ({"companion": {"size": 1, "plain_size": 1, "sha256": "0" * 64, "plain_sha256": "?"}}, "companion.plain_sha"),
        ({"set": -1}, "the field set is out of range"),
    ],
)
def test_wrong_facts_of_files_are_refused_by_name(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ManifestError, match=why):
        check(UPLOADS, **changes)


def test_an_adopted_artifact_has_no_number_and_stands_before_all_others() -> None:
    moment = {"moment": "2026-11-21T21:30:00Z", "at": "2026-11-22T14:32:00Z"}
    adopted = check(sequence=0, adopted=moment)
    assert adopted.recovery_point == utc("2026-11-21 21:30:00")
    assert adopted.order < check(sequence=1).order < check(sequence=2, created_at="2020-01-01T00:00:00Z").order
    assert check("public-uploads-20261122-1432.tar.zst", sequence=0, adopted=moment, companion=None).adopted_moment
    for wrong in ({"sequence": 1, "adopted": moment}, {"sequence": 0, "adopted": {"at": "2026-11-22T14:32:00Z"}}):
        with pytest.raises(ManifestError, match="sequence|moment"):
            check(**wrong)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "the field schema"),
    ],
)
def test_other_bytes_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ManifestError, match=why):
        _manifest.parse_manifest(raw)


def test_times_are_written_in_utc_and_read_back() -> None:
    moment = dt.datetime(2026, 11, 22, 16, 32, 10, 999999, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert _manifest.format_time(moment) == "2026-11-22T14:32:10Z"
    assert _manifest.parse_time("2026-11-22T14:32:10Z") == utc("2026-11-22 14:32:10")


def test_what_many_manifests_say_alike_is_kept_once() -> None:
    raw = json.dumps(manifest_document()).encode()
    first, second = (_manifest.parse_manifest(raw).document for _each in range(2))
    assert first == second == manifest_document()
    assert first["epoch"] is second["epoch"]
    assert all(one is other for one, other in zip(first, second))
    assert first["sha256"] is not second["sha256"]
