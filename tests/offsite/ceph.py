# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Ceph RGW over TLS for one test session, with what Seaweed has; identities are users named by bucket policies.

One monitor, one OSD that keeps all in memory, one gateway. The programs are those of the container that
OFFSITE_CEPH_CONTAINER names (scripts/ceph-leg), which shares the tests' directory and the network, or this machine's.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
from botocore.config import Config

from tests.offsite.seaweed import ADMIN, PATIENCE_S, free_ports, make_bucket, make_certificate

if TYPE_CHECKING:
    from pathlib import Path

# The two lines of paxos are ten seconds of the start. authentication "none" hangs the gateway for five minutes.
CONFIG = """\
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{ports[0]}/0,v1:127.0.0.1:{ports[1]}/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {directory}/keyring
run_dir = {directory}/run
admin_socket = {directory}/run/$cluster-$name.asok
log_file = {directory}/log/$name.log
pid_file = {directory}/run/$name.pid
crash_dir = {directory}/log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 5
mon_data_avail_crit = 2
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
[mon]
mon_data = {directory}/mon
mon_cluster_log_file = {directory}/log/cluster.log
[osd]
osd_data = {directory}/osd
osd_objectstore = memstore
memstore_device_bytes = 4G
[client.rgw.a]
rgw_data = {directory}/rgw
rgw_frontends = beast ssl_endpoint=127.0.0.1:{ports[2]} ssl_certificate={directory}/cert.pem \
ssl_private_key={directory}/key.pem
rgw_thread_pool_size = 32
rgw_override_bucket_index_max_shards = 1
rgw_dynamic_resharding = false
"""
CAPABILITIES = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx"},
}


class Ceph:
    """``directory`` holds its data, its certificate and its logs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "cert.pem"
        container = os.environ.get("OFFSITE_CEPH_CONTAINER")
        self._in = ["podman", "exec", container] if container else []
        self._config = directory / "ceph.conf"
        self._users: dict[str, str] = {}
        ports = free_ports(3)
        self.endpoint = f"https://127.0.0.1:{ports[2]}"
        make_certificate(directory)
        for name in ("run", "log", "mon", "osd", "rgw"):
            (directory / name).mkdir()
        fsid = str(uuid.uuid4())
        self._config.write_text(CONFIG.format(fsid=fsid, ports=ports, directory=directory))
        try:
            self._start(fsid, ports)
            self._user("admin", *ADMIN)
            self._wait()
        except BaseException:
            self.stop()
            raise

    def client(self, key: str = ADMIN[0], secret: str = ADMIN[1], service: str = "s3") -> Any:
        return boto3.session.Session(key, secret, region_name="us-east-1").client(
            service,
            endpoint_url=self.endpoint,
            verify=str(self.certificate),
            # It answers checksums in trailers, which boto3 sends over TLS when not told otherwise, by 411.
            config=Config(
                s3={"addressing_style": "path"},
                retries={"max_attempts": 2},
                read_timeout=20,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def bucket(self, name: str, *, locked: bool = False, days: int = 1) -> None:
        make_bucket(self.client(), name, locked=locked, days=days)
        self._allow(name, [])

    def identity(self, name: str, policy: dict[str, Any]) -> tuple[str, str]:
        """Key and secret of a new user; the policies of the buckets that *policy* names let him do what it says."""
        key, secret = f"key-{name}", secrets.token_hex(20)
        actions = [action for each in policy["Statement"] for action in each["Action"]]
        # Whoever has an account may make buckets, which no bucket's policy forbids.
        self._user(name, key, secret, buckets=0 if "s3:CreateBucket" in actions else -1)
        wanted: dict[str, list[dict[str, Any]]] = {}
        for statement in policy["Statement"]:
            resources = statement["Resource"]
            for each in [resources] if isinstance(resources, str) else resources:
                bucket, slash, _rest = each.removeprefix("arn:aws:s3:::").partition("/")
                named = {**statement, "Principal": {"AWS": [f"arn:aws:iam:::user/{name}"]}}
                # A bucket's policy speaks of that bucket only.
                for one in self._buckets() if bucket == "*" else [bucket]:
                    whole = [f"arn:aws:s3:::{one}", f"arn:aws:s3:::{one}/*"]
                    named["Resource"] = whole if bucket == "*" else f"arn:aws:s3:::{one}{slash}{'*' if slash else ''}"
                    wanted.setdefault(one, []).append(dict(named))
        for bucket, statements in wanted.items():
            self._allow(bucket, statements)
        return key, secret

    def remove_key(self, key: str) -> None:
        self._run("radosgw-admin", "key", "rm", f"--uid={self._users.pop(key)}", f"--access-key={key}")

    def stop(self) -> None:
        # All that they hold is in memory. By their own ids: the container has processes of nobody else.
        for name in ("client.rgw.a", "osd.0", "mon.a"):
            file = self.directory / "run" / f"{name}.pid"
            if file.is_file():
                subprocess.run([*self._in, "kill", "-KILL", file.read_text().strip()], check=False, capture_output=True)

    def _buckets(self) -> list[str]:
        return [each["Name"] for each in self.client().list_buckets()["Buckets"]]

    def _allow(self, bucket: str, statements: list[dict[str, Any]]) -> None:
        """Objects belong to who put them: without the first statement their bucket's owner may not read them."""
        client = self.client()
        policy: dict[str, Any] = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": ["arn:aws:iam:::user/admin"]},
                    "Action": "s3:*",
                    "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                }
            ],
        }
        try:
            policy = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
        except client.exceptions.ClientError as exc:
            if exc.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
        policy["Statement"] += statements
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    def _user(self, name: str, key: str, secret: str, *, buckets: int = 0) -> None:
        argv = ["user", "create", f"--uid={name}", f"--display-name={name}", f"--access-key={key}"]
        self._run("radosgw-admin", *argv, f"--secret-key={secret}", f"--max-buckets={buckets}")
        self._users[key] = name

    def _run(self, program: str, *arguments: str) -> str:
        argv = [*self._in, program, "-c", str(self._config), *arguments]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, (argv, done.stdout[-1000:], done.stderr[-2000:])
        return done.stdout

    def _start(self, fsid: str, ports: list[int]) -> None:
        keyring, monitors = self.directory / "keyring", self.directory / "monmap"
        self._run("ceph-authtool", str(keyring), "--create-keyring")
        for name, capabilities in CAPABILITIES.items():
            arguments = [word for each in capabilities.items() for word in ("--cap", *each)]
            self._run("ceph-authtool", str(keyring), "--gen-key", "-n", name, *arguments)
        addresses = f"[v2:127.0.0.1:{ports[0]},v1:127.0.0.1:{ports[1]}]"
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, str(monitors))
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", str(monitors), "--keyring", str(keyring))
        self._run("ceph-mon", "-i", "a")
        self._run("ceph-authtool", str(keyring), "--gen-key", "-n", "osd.0")
        secret = self._run("ceph-authtool", str(keyring), "--print-key", "-n", "osd.0").strip()
        osd, secrets_file = str(uuid.uuid4()), self.directory / "osd.json"
        secrets_file.write_text(json.dumps({"cephx_secret": secret}))
        self._run("ceph", "osd", "new", osd, "-i", str(secrets_file))
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._run("ceph-osd", "-i", "0")
        self._run("radosgw", "-n", "client.rgw.a")

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.client().list_buckets()
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                assert time.monotonic() < deadline, (self.directory / "log/client.rgw.a.log").read_text()[-2000:]
                time.sleep(0.3)
            else:
                return
