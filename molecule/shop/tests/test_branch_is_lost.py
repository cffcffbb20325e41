# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shop sells, its server is lost with its disk, a bare one takes its place, and the shop sells again."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

TOP = Path(__file__).resolve().parents[3]
STATE = TOP / ".cache/molecule"
CODE = "branch-001"
PLACE = f"/srv/backups/larapee/branches/{CODE}"
INVENTORIES = ("molecule/localhost.yml", ".cache/molecule/inventory.yml", "molecule/inventory.yml")
UNITS = ("lab-pos-queue.service", "lab-pos-scheduler.timer", "php8.2-fpm.service")
SOLD = re.compile(r"'(B01-\d{8}-\d+)'")
# As the wrapper takes them, without what molecule set for itself.
COMMAND = (sys.executable, "-m", "larapee_runner")


def container(name: str) -> str:
    done = subprocess.run([TOP / "scripts/hosts", "name", name], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def connect(name: str) -> Any:
    os.environ["CONTAINERS_CONF"] = str(TOP / ".cache/containers/containers.conf")
    return testinfra.get_host(f"podman://{container(name)}")


def podman(*arguments: str) -> None:
    subprocess.run(["podman", *arguments], check=True, capture_output=True)


def invoices(host: Any) -> list[str]:
    query = "SELECT invoice_number FROM larapos.orders ORDER BY id"
    found: list[str] = host.check_output("mariadb --batch --skip-column-names --execute %s", query).split()
    return found


def pulled(central: Any, directory: Path) -> set[str]:
    """The receipts in what central holds, by stock tools: from each increment of the database, and from the full."""
    podman("cp", f"{container('central-001')}:{PLACE}", str(directory))
    place = directory / CODE
    found: set[str] = set()
    manifests = [json.loads(path.read_text()) for path in place.glob("db-*.manifest.json")]
    newest = max((each for each in manifests if each["kind"] == "db_full"), key=lambda each: each["sequence"])
    plain = _opened(place / newest["artifact"], ("gzip", "-d", "-c"))
    found |= set(SOLD.findall(plain.decode("utf-8", "replace")))
    for number, each in enumerate(each for each in manifests if each["kind"] == "db_increment"):
        logs = directory / f"logs-{number}"
        logs.mkdir()
        subprocess.run(
            ["tar", "-x", "-C", logs], input=_opened(place / each["artifact"], ("zstd", "-d", "-c")), check=True
        )
        argv = ["mariadb-binlog", "--base64-output=decode-rows", "--verbose", "--database=larapos"]
        told = subprocess.run([*argv, *sorted(logs.iterdir())], capture_output=True, check=True).stdout
        found |= set(SOLD.findall(told.decode("utf-8", "replace")))
    return found


def _opened(path: Path, decompress: tuple[str, ...]) -> bytes:
    plain = subprocess.run(["age", "-d", "-i", STATE / "identities.txt", path], capture_output=True, check=True).stdout
    return subprocess.run(decompress, input=plain, capture_output=True, check=True).stdout


def recorded(directory: Path) -> dict[str, str]:
    """Where the rows of a person's own runs go."""
    return {
        "LARAPEE_BACKUP_STATE_DIR": str(directory / "state"),
        "LARAPEE_BACKUP_RUNS_URL": f"sqlite:///{directory / 'runs.sqlite'}",
    }


def begin(directory: Path, playbook: str, *arguments: str) -> subprocess.Popen[str]:
    """As a person does it, on a machine of his own."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANSIBLE_", "MOLECULE_", "LARAPEE_", "PYTEST_"))
    }
    environ.update(
        ANSIBLE_CONFIG=str(TOP / "ansible.cfg"),
        ANSIBLE_HOME=str(TOP / ".cache/ansible"),
        PYTHONPATH=str(TOP / "runner/src"),
        MOLECULE_PROJECT_DIRECTORY=str(TOP),
        **recorded(directory),
    )
    inventories = [word for path in INVENTORIES for word in ("-i", str(TOP / path))]
    argv = [*COMMAND, "run", *inventories, *arguments, playbook]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=TOP, env=environ, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def play(directory: Path, playbook: str, *arguments: str) -> None:
    started = begin(directory, playbook, *arguments)
    output, errors = started.communicate()
    assert started.returncode == 0, output[-6000:] + errors[-2000:]


def power_cut_in_the_middle(directory: Path, shop: Any, *arguments: str) -> None:
    """The host comes up again with all that is enabled there, and what is half restored stays closed."""
    started = begin(directory, "larapee.backup.restore", *arguments)
    wait("its files to be restored", lambda: "files" in _steps(shop), 240)
    podman("kill", container(CODE))
    os.killpg(started.pid, signal.SIGKILL)
    # Not wait: its pipes would stay open.
    started.communicate()
    podman("start", container(CODE))
    wait("the host", lambda: shop.run("systemctl is-system-running --wait").stdout.strip(), 120)
    wait("its database", lambda: shop.run("mariadb --execute 'SELECT 1'").rc == 0, 60)
    wait("its network", lambda: _answers(shop), 120)
    assert [unit for unit in UNITS if shop.service(unit).is_running] == []
    assert [unit for unit in UNITS if not shop.service(unit).is_enabled] == []
    assert shop.file(f"/var/lib/larapee-backup/latch/{CODE}.json").exists


def _answers(host: Any) -> bool:
    """A word from it first: after a start it has another hardware address, and this machine asks the old one."""
    gateway = host.check_output("ip -4 route show default").split()[2]
    host.run("timeout 1 bash -c %s", f"</dev/tcp/{gateway}/22")
    address = host.check_output("hostname -I").split()[0]
    with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=5):
        return True
    return False


def _steps(shop: Any) -> list[str]:
    """Those that have begun, as the restore noted them on the host."""
    done = shop.run(f"cat /var/lib/larapee-backup/restores/{CODE}.json")
    return [each["name"] for each in json.loads(done.stdout)["steps"]] if done.rc == 0 else []


def rows(directory: Path) -> list[dict[str, Any]]:
    import sqlite3

    with sqlite3.connect(directory / "runs.sqlite") as runs:
        runs.row_factory = sqlite3.Row
        return [dict(row) for row in runs.execute("SELECT * FROM backup_runs ORDER BY started_at")]


def wait(what: str, ask: Any, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < ends, f"waited {seconds:g} seconds for {what}"
        time.sleep(2)


@pytest.mark.timeout(1500)
def test_a_branch_that_burnt_down_sells_again(tmp_path: Path) -> None:
    shop, central = connect(CODE), connect("central-001")
    password = "the cashier's own words"
    shop.check_output("sh -c %s", f'umask 077; echo -n "{password}" >/root/password')
    sell = "lab-pos-sell --email cashier@lab.example --password-file /root/password --acknowledged /root/sold"
    shop.check_output("sh -c %s", f"systemd-run --quiet --unit=seller {sell}")
    wait("receipts", lambda: len(invoices(shop)) > 20, 60)
    wait("increments at central", lambda: _increments(central) > 1, 500)

    # The fire: nothing of its disk is ever seen again.
    promised = invoices(shop)
    podman("kill", container(CODE))
    there = tmp_path / "there"
    there.mkdir()
    kept = pulled(central, there)
    expected = [each for each in promised if each in kept]
    assert promised[: len(expected)] == expected, "what central holds has no gap"
    subprocess.run([TOP / "scripts/hosts", "renew", CODE], check=True, capture_output=True)

    shop = connect(CODE)
    shop.check_output(
        "sh -c %s", "apt-get -qq update && apt-get -qq install -y mariadb-server age zstd rsync python3-pymysql"
    )
    podman("cp", f"{container('staging-001')}:/etc/larapee-backup/allowed_signers", str(tmp_path / "allowed_signers"))
    podman("cp", str(tmp_path / "allowed_signers"), f"{container(CODE)}:/srv/allowed_signers")
    shop.check_output(
        "sh -c %s", "umask 077; printf '[client]\\nuser=root\\nsocket=/run/mysqld/mysqld.sock\\n' >/root/restore.cnf"
    )
    lines = f"email=cashier@lab.example\npassword={password}\n"
    (tmp_path / "cashier.ini").write_text(lines)
    podman("cp", str(tmp_path / "cashier.ini"), f"{container(CODE)}:/root/cashier.ini")
    shop.check_output("chmod 600 /root/cashier.ini")
    restore = {
        "larapee_backup_restore_hosts": CODE,
        "larapee_backup_restore_age_identity": str(STATE / "identities.txt"),
        "larapee_backup_restore_source": "ssh://central-001/srv/backups/larapee/branches",
        "larapee_backup_allowed_signers": "/srv/allowed_signers",
        "larapee_backup_restore_db_option_file": "/root/restore.cnf",
    }
    (tmp_path / "restore.yml").write_text(yaml.safe_dump(restore))
    given = ("-e", f"@{tmp_path / 'restore.yml'}")

    # The settings first: the deployment keeps the .env that it finds, and makes the database's account for it.
    config = "larapee_backup_restore_config_path=/srv/restored-config"
    play(tmp_path, "larapee.backup.restore", *given, "-e", config, "-e", "larapee_backup_restore_parts=config")
    shop.check_output("sh -c %s", "install -d /var/www && cp -p /srv/restored-config/var/www/.env /var/www/.env")
    deploy(tmp_path)
    steps = {
        "larapee_backup_restore_shop": True,
        "larapee_backup_restore_uploads_path": "/var/www/storage/app/public",
        "larapee_backup_shop_worker_units": list(UNITS[:2]),
        "larapee_backup_shop_web_units": list(UNITS[2:]),
        "larapee_backup_shop_key_commands": [
            ["runuser", "-u", "www-data", "--", "php", "/var/www/artisan", "--no-ansi", "pos:app-key-check"]
        ],
        "larapee_backup_shop_url": "http://127.0.0.1",
        "larapee_backup_shop_credentials_file": "/root/cashier.ini",
        "larapee_backup_shop_watch_paths": ["/var/www/storage/logs/*.log", "/var/log/nginx/error.log"],
        "larapee_backup_shop_watch_seconds": 5,
    }
    (tmp_path / "shop.yml").write_text(yaml.safe_dump(steps))
    given = (*given, "-e", f"@{tmp_path / 'shop.yml'}", "-e", f"larapee_backup_restore_confirm={CODE}")
    play(tmp_path, "larapee.backup.restore", *given, "--check")
    power_cut_in_the_middle(tmp_path, shop, *given)
    play(tmp_path, "larapee.backup.restore", *given)

    assert invoices(shop) == expected
    for unit in UNITS:
        assert shop.service(unit).is_running
        assert not shop.file(f"/etc/systemd/system/{unit}.d/50-larapee-backup-restore.conf").exists
    row = rows(tmp_path)[-1]
    details = json.loads(row["details"])
    assert (row["status"], row["kind"], row["branch"]) == ("success", "restore", CODE)
    assert 0 < details["down_s"] < details["total_s"] < 3600
    logging.getLogger(__name__).warning(
        "lost %d of %d receipts: %s", len(promised) - len(expected), len(promised), details["steps"]
    )
    shop.check_output("sh -c %s", f'umask 077; echo -n "{password}" >/root/password')
    shop.check_output("sh -c %s", f"systemd-run --quiet --unit=seller {sell}")
    wait("new receipts", lambda: len(invoices(shop)) > len(expected), 60)


def _increments(central: Any) -> int:
    """How many of the database central holds."""
    return len(central.run("sh -c %s", f'grep -l \'"kind": "db_increment"\' {PLACE}/*.manifest.json').stdout.split())


def deploy(directory: Path) -> None:
    """The site's own, which finds the settings of before."""
    argv = ["ansible-playbook", *[word for path in INVENTORIES for word in ("-i", str(TOP / path))]]
    environ = {**os.environ, "ANSIBLE_ROLES_PATH": str(TOP / "roles"), **recorded(directory)}
    done = subprocess.run(
        [*argv, "-e", f"shop_hosts={CODE}", "molecule/shop/deploy.yml"],
        cwd=TOP,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
