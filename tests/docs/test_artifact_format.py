# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/artifact-format.md and the JSON Schema, compared with what a real full leaves on the disk."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _publish
from tests.database.estate import BRANCH, Estate, Keys, sql
from tests.docs.pages import DOCS, TOP, code, table, tables
from tests.files.shop_files import ShopFiles
from tests.pitr.sealing import SealingBranch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from larapee_runner.demo.server import ThrowawayServer

PAGE = DOCS / "artifact-format.md"
FIELDS = "| field | type | unit or values |"
COMMON, OF_A_FULL, OF_AN_INCREMENT, OF_FILES, OF_ADOPTED = range(5)
RESULT = "| field | type | meaning |"
SCHEMA = json.loads((DOCS / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))
TYPES = {
    "string": str,
    "integer": int,
    "object": dict,
    "list of strings": list,
    "list of objects": list,
    "boolean": bool,
    "null": type(None),
}
STEPS = [(int(row[0]), row[2], code(row[3]), row[4]) for row in table(PAGE, "| step | done |")]
NAME = "db-20261122-2315.sql.gz.age"

# Publishes as a run does, and is gone at once after the step that it is told.
CRASH = f"""
import datetime, os, sys
from ansible_collections.larapee.backup.plugins.module_utils import _io, _publish
step, real, seen = int(sys.argv[2]), _io.fsync_directory, []
def synced(path):
    real(path)
    seen.append(path)
    # Writing the bytes, step 2, is the one step that ends without a look at the directory.
    if len(seen) + (len(seen) > 1) == step:
        os._exit(9)
_io.fsync_directory = synced
now = datetime.datetime(2026, 11, 22, 23, 15, tzinfo=datetime.timezone.utc)
what = dict(kind="db_full", compression="gzip", encrypted=True, now=now, run_id="r")
with _publish.reserve(sys.argv[1], **what) as reservation:
    assert reservation.name == "{NAME}"
    os.write(reservation.open_part(), b"bytes")
    if step == 2:
        os._exit(9)
    reservation.publish(manifest=sys.stdin.buffer.read(), signature=b"signature")
"""


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every field, those of objects as ``object.field``, also of the objects of a list."""
    found = {}
    for name, value in document.items():
        found[prefix + name] = value
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                found |= _flat(inner, f"{prefix}{name}.")
    return found


def _documented(header: str, *which: int) -> dict[str, tuple[type, ...]]:
    """The fields of the tables with *header* (all, or these)."""
    found = tables(PAGE, header)
    return {
        code(name)[0]: tuple(TYPES[each.strip()] for each in kinds.split(" or "))
        for number in which or range(len(found))
        for name, kinds, *_rest in found[number]
    }


def _manifest(estate: Estate, **changes: Any) -> dict[str, Any]:
    manifest = estate.dump(**changes).manifest
    assert manifest is not None
    written = json.loads((estate.local / f"{manifest.artifact}.manifest.json").read_bytes())
    assert written == manifest.document
    return dict(written)


def test_the_table_of_fields_is_that_of_a_real_manifest(estate: Estate) -> None:
    documented = _documented(FIELDS, COMMON, OF_A_FULL)
    first, second = _manifest(estate), _manifest(estate, compression="zstd")
    assert sorted(_flat(first)) == sorted(documented)
    for manifest in (first, second, _manifest(estate, encrypt=False, recipients=())):
        wrong = {name: value for name, value in _flat(manifest).items() if type(value) not in documented[name]}
        assert wrong == {}
        jsonschema.validate(manifest, SCHEMA)
    assert (first["previous"], second["previous"]) == (None, first["artifact"])


def test_the_table_of_an_increment_is_that_of_a_real_manifest(
    source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path
) -> None:
    branch = SealingBranch(source=source, target=target, keys=keys, root=tmp_path)
    full = branch.full()
    documented = _documented(FIELDS, COMMON, OF_AN_INCREMENT)
    for fingerprint in (True, False):
        branch.sell()
        manifest = branch.increment(fingerprint=fingerprint, encrypt=fingerprint)
        written = json.loads((branch.local / f"{manifest.artifact}.manifest.json").read_bytes())
        flat = _flat(written)
        assert {name: value for name, value in flat.items() if type(value) not in documented[name]} == {}
        left_out = () if fingerprint else ("companion", "fingerprint", "encryption", "tool_versions.age")
        assert sorted(flat) == sorted(
            name
            for name in documented
            if not name.startswith(tuple(f"{each}." for each in left_out[:3])) and name not in left_out[3:]
        )
        jsonschema.validate(written, SCHEMA)
    assert full.artifact == manifest.document["base"]


def test_the_tables_of_files_are_those_of_real_manifests_and_indexes(tmp_path: Path, keys: Keys) -> None:
    shop = ShopFiles(tmp_path, keys)
    shop.uploads.mkdir()
    (shop.uploads / "slip.jpg").write_bytes(b"slip")
    (shop.uploads / "link").symlink_to("slip.jpg")
    full = shop.full()
    (shop.uploads / "link").unlink()
    os.mkfifo(shop.uploads / "pipe")
    increment = shop.increment()
    documented = _documented(FIELDS, COMMON, OF_FILES)
    for manifest in (full, increment):
        assert sorted(_flat(manifest.document)) == sorted(documented)
        jsonschema.validate(dict(manifest.document), SCHEMA)
    told = {word for row in table(PAGE, "| line |") for cell in row[:2] for word in code(cell)}
    lines = [*shop.index(full.artifact), *shop.index(increment.artifact)]
    kinds = {line["type"] for line in lines}
    assert kinds == {"directory", "file", "symlink", "deleted", "problem", "end"}
    assert {field for line in lines for field in line} <= told
    assert {f'"type": "{kind}"' for kind in ("deleted", "problem", "end")} <= told


def test_the_schema_knows_exactly_the_fields_of_the_table() -> None:
    def fields(schema: Mapping[str, Any], prefix: str = "") -> set[str]:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        found = set()
        for name, inner in schema.get("properties", {}).items():
            found |= {prefix + name} | fields(inner.get("items", inner), f"{prefix}{name}.")
        return found

    assert sorted(fields(SCHEMA)) == sorted(_documented(FIELDS))


@pytest.mark.parametrize(
    "change", [{"sequence": 0}, {"sha256": "ab"}, {"created_at": "2026-11-22"}, {"start": {}}, {"encryption": {}}]
)
def test_the_schema_refuses_what_is_no_manifest(a_manifest: dict[str, Any], change: dict[str, Any]) -> None:
    jsonschema.validate(a_manifest, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**a_manifest, **change}, SCHEMA)


@pytest.fixture(scope="module")
def a_manifest() -> dict[str, Any]:
    """What the manifest of a full looks like."""
    time = "2026-11-22T23:15:07Z"
    uuid = "11111111-1111-4111-8111-111111111111"
    numbers = dict.fromkeys(("sequence", "size", "plain_size", "server_id", "longest_line"), 1)
    words = dict.fromkeys(("version", "database", "schema_character_set", "schema_collation"), "x")
    objects = dict.fromkeys(("tables", "views", "sequences", "triggers", "routines", "events"), 0)
    return {
        **numbers,
        **words,
        **dict.fromkeys(("base", "previous", "epoch_reason")),
        "encryption": {"recipients": ["age1x"]},
        **{"schema": 1, "kind": "db_full", "format": "sql", "compression": "gzip", "engine": "mariadb"},
        **{"artifact": NAME, "branch": BRANCH, "epoch": uuid, "run_id": uuid, "created_at": time},
        **{"sha256": "0" * 64, "plain_sha256": "0" * 64, "tool_versions": {"dump": "x", "compressor": "x"}},
        **{"objects": objects, "ddl_guard": "block_ddl", "start": {"time": time}, "end": {"time": time}},
    }


def test_names_sums_and_the_result_of_a_verification_are_as_documented(estate: Estate) -> None:
    artifact = _manifest(estate)["artifact"]
    names = [name.replace("`", "") for _what, name in table(PAGE, "| file |")]
    suffixes = [name.partition("'s name plus ")[2] for name in names if "'s name plus" in name]
    of_a_full = [".manifest.json", ".manifest.json.sig", ".verified.json"]
    companions = [f"{suffix}, and .age when the artifact is encrypted" for suffix in (".fingerprint.zst", ".index.zst")]
    assert sorted(suffixes) == [*companions, *of_a_full]
    estate.verify(identity=estate.keys.identity)
    fingerprint = f"{artifact}.fingerprint.zst.age"
    assert estate.files() == {"SHA256SUMS", artifact, fingerprint, *(artifact + suffix for suffix in of_a_full)}
    result = json.loads((estate.local / f"{artifact}.verified.json").read_bytes())
    documented = _documented(RESULT, 0)
    fields = {re.sub(r"^levels\.\w+\.", "levels.*.", name): value for name, value in _flat(result).items()}
    found = {name: value for name, value in fields.items() if not re.fullmatch(r"levels\.\w+", name)}
    assert sorted(found) == sorted(documented)
    assert {name: value for name, value in found.items() if type(value) not in documented[name]} == {}
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=estate.local, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, f"{artifact}: OK\n{fingerprint}: OK\n")


def test_the_table_of_a_fingerprint_is_that_of_a_real_one(estate: Estate) -> None:
    queries = {"orders": "SELECT COUNT(*), NULL FROM orders"}
    sql(estate.source, "CREATE TABLE larapos.old (i INT) ENGINE = MyISAM")
    found = set()
    types = TYPES | {"list of lists": list}
    documented = {
        code(name)[0]: [types[each] for each in kinds.split(" or ")]
        for name, kinds, _meaning in table(PAGE, "| field | type | of a fingerprint |")
    }
    for limit in (0, 2**31):
        manifest = _manifest(estate, fingerprint_limit_bytes=limit, business_queries=queries)
        path = estate.local / f"{manifest['artifact']}.fingerprint.zst.age"
        identity = str(estate.keys.directory / "identity-1")
        opened = subprocess.run(["age", "-d", "-i", identity, str(path)], check=True, capture_output=True).stdout
        plain = subprocess.run(["zstd", "-dc"], input=opened, check=True, capture_output=True).stdout
        written = json.loads(plain)
        assert manifest["fingerprint"].items() <= written.items()
        for name, value in _flat(written).items():
            general = re.sub(r"^(tables|queries)\..+\.(\w+)$", r"\1.*.\2", name)
            if general != name or general in documented:
                found.add(general)
                assert type(value) in documented[general], name
    assert found == set(documented)


@pytest.mark.parametrize(("step", "hidden", "visible", "next_full"), STEPS)
def test_a_crash_after_each_step_leaves_what_the_table_says(
    tmp_path: Path, a_manifest: dict[str, Any], step: int, hidden: str, visible: list[str], next_full: str
) -> None:
    paths = os.pathsep.join(str(TOP / each) for each in ("collection", "runner/src"))
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), str(step)],
        input=json.dumps(a_manifest).encode(),
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 9
    earlier = STEPS[step - 2][1] if hidden == "the same" else hidden
    earlier = STEPS[step - 3][1] if earlier == "the same" else earlier
    expected = {name.replace("A", NAME, 1) for name in [*code(earlier), *visible]}
    assert {path.name for path in tmp_path.iterdir()} == expected
    catalogue = _catalog.read_catalogue(str(tmp_path))
    kept = next_full.startswith("keeps")
    assert [entry.name for entry in catalogue.entries] == ([NAME] if kept else [])
    assert (catalogue.problems, catalogue.unmanaged) == ({}, ())
    assert _publish.sweep(str(tmp_path), kind="db_full") == ([] if kept else [NAME])
    rest = {name for name in expected if not name.startswith(".")} if kept else set()
    assert {path.name for path in tmp_path.iterdir()} == rest
