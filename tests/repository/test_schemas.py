# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published schema of manifests, what the dump writes, and what the readers accept are one contract."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _manifest
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import Estate, make_keys

if TYPE_CHECKING:
    from pathlib import Path

COMMON = (
    *("schema", "artifact", "branch", "kind", "format", "sequence", "epoch", "created_at", "run_id", "size", "sha256"),
    *("plain_size", "plain_sha256", "compression", "encryption", "base", "previous", "tool_versions"),
)
DATABASE = ("engine", "version", "server_id", "database", "start", "end")
FULL = ("epoch_reason", "schema_character_set", "schema_collation", "objects", "longest_line", "ddl_guard")
FILES = ("entries", "deletions", "tree", "problems", "companion")
LOGS = ("files", "transactions", "definitions", "largest_event", "time_went_back")
OTHER_KINDS = {
    "db_increment": ("db-20261122-1432.binlog.zst", "binlog", (*DATABASE, *LOGS)),
    "files_full": ("public-uploads-20261122-1432.tar.zst.age", "tar", FILES),
    "files_increment": ("public-uploads-20261122-1432.incr.tar.zst.age", "tar", FILES),
    "config": ("config-20261122-1432-07.tar.zst", "tar", FILES),
}
OF_FILES = {
    **dict.fromkeys(("entries", "deletions"), 0),
    "tree": {"entries": 1, "bytes": 0},
    "problems": dict.fromkeys(("changed", "vanished", "unreadable", "skipped"), 0),
    "companion": {"size": 1, "sha256": "0" * 64, "plain_size": 1, "plain_sha256": "1" * 64},
}


LOG = "mysql-bin.000007"
OF_LOGS = {
    "base": "db-20261122-0000.sql.gz.age",
    "previous": "db-20261122-0000.sql.gz.age",
    "files": [{"name": LOG, "size": 500, "sha256": "0" * 64, "identity": "1" * 64, "end": "rotate"}],
    "start": {"file": LOG, "position": 4, "gtid": "", "time": "2026-11-22T14:32:10Z"},
    "end": {"file": LOG, "position": 500, "gtid": "1-1-1", "time": "2026-11-22T14:32:10Z"},
    "transactions": 1,
    "definitions": 0,
    "largest_event": 100,
    "time_went_back": False,
}


@pytest.fixture(scope="module")
def schema(top: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((top / "docs/schemas/manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    return document


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The manifests of four fulls of a real server: each compression, encrypted and in clear."""
    root = tmp_path_factory.mktemp("written")
    with ThrowawayServer(root / "server") as server:
        estate = Estate(source=server, target=server, keys=make_keys(root), root=root)
        for compression in ("gzip", "zstd"):
            estate.dump(compression=compression)
            estate.dump(compression=compression, encrypt=False, recipients=())
    paths = sorted(estate.local.glob("*.manifest.json"))
    assert len(paths) == 4
    return [json.loads(path.read_bytes()) for path in paths]


def accepted(document: dict[str, Any], schema: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the schema and the readers take *document* for a manifest."""
    try:
        _manifest.check_manifest(document)
    except _manifest.ManifestError:
        read = False
    else:
        read = True
    return jsonschema.Draft202012Validator(schema).is_valid(document), read


def of_kind(document: dict[str, Any], kind: str) -> dict[str, Any]:
    """What a manifest of another kind looks like, with nothing in it that its kind does not need."""
    name, form, needed = OTHER_KINDS[kind]
    values = {**document, **OF_FILES, **(OF_LOGS if kind == "db_increment" else {})}
    kept = {field: values[field] for field in (*COMMON, *needed)}
    if kind == "files_increment":
        kept |= dict.fromkeys(("base", "previous"), "public-uploads-20261122-0000.tar.zst.age")
    encryption = {"recipients": ["age1x"]} if name.endswith(".age") else None
    return {**kept, "artifact": name, "kind": kind, "format": form, "compression": "zstd", "encryption": encryption}


def test_what_the_dump_writes_is_what_the_schema_says(written: list[dict[str, Any]], schema: dict[str, Any]) -> None:
    for document in written:
        jsonschema.Draft202012Validator(schema).validate(document)
        assert accepted(document, schema) == (True, True)
        assert set(document) == {*COMMON, *DATABASE, *FULL, "set", "snapshot_at", "companion", "fingerprint"}


def test_fields_that_later_versions_add_are_kept(written: list[dict[str, Any]], schema: dict[str, Any]) -> None:
    document = {**written[0], "later": {"deep": [1]}, "objects": {**written[0]["objects"], "packages": 2}}
    assert accepted(document, schema) == (True, True)


@pytest.mark.parametrize("field", [*COMMON, *DATABASE, *FULL])
def test_a_missing_field_of_a_full_is_noticed_by_the_schema_and_by_the_readers(
    written: list[dict[str, Any]], schema: dict[str, Any], field: str
) -> None:
    for document in written:
        without = {name: value for name, value in document.items() if name != field}
        assert accepted(without, schema) == (False, False)


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_the_other_kinds_have_their_place_in_the_schema(
    written: list[dict[str, Any]], schema: dict[str, Any], kind: str
) -> None:
    document = of_kind(written[0], kind)
    assert accepted(document, schema) == (True, True)
    for field in (*COMMON, *OTHER_KINDS[kind][2]):
        without = {name: value for name, value in document.items() if name != field}
        assert accepted(without, schema) == (False, False), field


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"files": [{**OF_LOGS["files"][0], "end": "open"}]},  # type: ignore[index]
        {"files": [{**OF_LOGS["files"][0], "identity": "x"}]},  # type: ignore[index]
        {"start": {"time": "2026-11-22T14:32:10Z"}},
        {"transactions": -1},
        {"time_went_back": 0},
        {"previous": None},
    ],
)
def test_a_wrong_field_of_an_increment_is_noticed_by_both(
    written: list[dict[str, Any]], schema: dict[str, Any], change: dict[str, Any]
) -> None:
    document = of_kind(written[0], "db_increment")
    assert accepted(document, schema) == (True, True)
    assert accepted({**document, **change}, schema) == (False, False)


def test_only_an_adopted_artifact_has_no_number_and_no_companion(
    written: list[dict[str, Any]], schema: dict[str, Any]
) -> None:
    adopted = {"adopted": {"moment": "2026-11-21T21:30:00Z", "at": "2026-11-22T14:32:10Z"}, "sequence": 0}
    uploads = {**of_kind(written[0], "files_full"), "companion": None}
    assert accepted({**uploads, **adopted}, schema) == (True, True)
    for wrong in (uploads, {**uploads, **adopted, "sequence": 1}, {**uploads, **adopted, "adopted": {}}):
        assert accepted(wrong, schema) == (False, False)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"kind": "config"},
        {"compression": "zstd"},
        {"encryption": None},
        {"artifact": "db-20261122-1432.sql.gz"},
        {"branch": "../branch-002"},
        {"sequence": 0},
        {"size": -1},
        {"sha256": "A" * 64},
        {"epoch": "first"},
        {"created_at": "2026-11-22 14:32:10"},
        {"objects": {"tables": "4"}},
        {"start": []},
        {"server_id": "1"},
        {"previous": 1},
    ],
)
def test_a_wrong_field_is_noticed_by_the_schema_and_by_the_readers(
    written: list[dict[str, Any]], schema: dict[str, Any], change: dict[str, Any]
) -> None:
    (document,) = [each for each in written if each["compression"] == "gzip" and each["encryption"]]
    assert accepted({**document, **change}, schema) == (False, False)
