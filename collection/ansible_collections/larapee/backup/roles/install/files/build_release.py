# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build, on the controller, what a host needs to install a release: one tar of collection, command and wheels.

The name of a release is its version and a digest of what goes into it, so one name never stands for two contents.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

COLLECTION = Path("collection/ansible_collections/larapee/backup")
RUNNER = Path("runner")
REQUIREMENTS = Path("requirements/run.txt")
_LEFT_OUT = {"__pycache__", "tests", "output", "build"}
# Wheels for these run on any glibc that a supported Debian has.
_GLIBC_MINORS = range(17, 37)


class BuildError(Exception):
    pass


def sources(checkout: Path) -> Iterator[Path]:
    """Every file that a release is made of, in a fixed order."""
    yield REQUIREMENTS
    for part in (COLLECTION, RUNNER):
        found = []
        for directory, names, files in os.walk(checkout / part):
            names[:] = [name for name in names if not (name in _LEFT_OUT or name.startswith(".") or "egg-info" in name)]
            found += [Path(directory, name).relative_to(checkout) for name in files if not name.startswith(".")]
        yield from sorted(found)


def release_name(checkout: Path, extra: Sequence[str]) -> str:
    """Name the release that *checkout* would make now."""
    digest = hashlib.sha256()
    for path in sources(checkout):
        content = hashlib.sha256((checkout / path).read_bytes()).hexdigest()
        digest.update(f"{path}\0{content}\0".encode())
    for requirement in sorted(extra):
        digest.update(f"{requirement}\0".encode())
    text = (checkout / COLLECTION / "galaxy.yml").read_text(encoding="utf-8")
    version = re.search(r"^version: *(\S+)", text, re.MULTILINE)
    if version is None:
        raise BuildError(f"{COLLECTION}/galaxy.yml has no version")
    return f"{version[1]}-{digest.hexdigest()[:12]}"


def requirements_for(checkout: Path, python: str, extra: Sequence[str]) -> list[str]:
    """The requirements that hold for the host's Python: pip judges markers by the one that it runs in itself."""
    from packaging.requirements import Requirement

    lines = (checkout / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in [*lines, *extra] if line.strip() and not line.startswith("#")]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    kept = []
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            kept.append(str(requirement))
    return kept


def build(checkout: Path, into: Path, *, python: str, machine: str, extra: Sequence[str], download: bool) -> None:
    """Make the tar *into*; it appears whole or not at all."""
    with tempfile.TemporaryDirectory(dir=into.parent) as name:
        work = Path(name)
        wheels = work / "wheels"
        wheels.mkdir()
        galaxy = Path(sys.executable).parent / "ansible-galaxy"
        command = str(galaxy) if galaxy.is_file() else "ansible-galaxy"
        _run([command, "collection", "build", "--output-path", str(work), str(checkout / COLLECTION)])
        (archive,) = work.glob("larapee-backup-*.tar.gz")
        archive.rename(work / "collection.tar.gz")
        # setuptools and its like leave a build directory in the source: that belongs to the person at the checkout.
        copy = work / "source"
        shutil.copytree(checkout / RUNNER, copy / RUNNER, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        recorder = COLLECTION / "plugins/plugin_utils/_recorder"
        shutil.copytree(checkout / recorder, copy / recorder, ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(copy / RUNNER)])
        shutil.rmtree(copy)
        wanted = requirements_for(checkout, python, extra)
        (work / "requirements.txt").write_text("".join(f"{line}\n" for line in wanted), encoding="utf-8")
        if download:
            platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in reversed(_GLIBC_MINORS)]
            digits = python.replace(".", "")
            abis = [f"--abi={abi}" for abi in (f"cp{digits}", "abi3", "none")]
            target = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *abis, *platforms]
            old = f"--platform=manylinux2014_{machine}"
            _run([*pip, "download", *target, old, "--dest", str(wheels), "-r", str(work / "requirements.txt")])
        part = into.with_name(f"{into.name}.part")
        with tarfile.open(part, "w") as tar:
            for path in sorted(work.rglob("*")):
                tar.add(path, arcname=str(path.relative_to(work)), recursive=False)
        part.replace(into)


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - a list of our own making
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise BuildError(f"{' '.join(argv[:5])} ended with status {done.returncode}: {' '.join(last)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--python", required=True, help="the host's Python, such as 3.11")
    parser.add_argument("--machine", default="x86_64")
    parser.add_argument("--requirement", action="append", default=[])
    parser.add_argument("--no-download", action="store_true", help="the host has an index of its own")
    parser.add_argument("--name-only", action="store_true")
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    try:
        name = release_name(checkout, options.requirement)
        kind = "own" if options.no_download else f"py{options.python}-{options.machine}"
        payload = options.cache / f"{name}-{kind}.tar"
        if not options.name_only:
            options.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (options.cache / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not payload.is_file():
                    build(
                        checkout,
                        payload,
                        python=options.python,
                        machine=options.machine,
                        extra=options.requirement,
                        download=not options.no_download,
                    )
    except (BuildError, OSError) as error:
        sys.stderr.write(
            f"Failed to build the release from {checkout}: {error}. Name a checkout of larapee.backup in "
            "larapee_backup_install_source; the controller needs pip and an index.\n"
        )
        return 1
    sys.stdout.write(json.dumps({"name": name, "payload": str(payload)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
