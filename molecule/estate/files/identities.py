# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give each identity its key at the storage, with the policies that the collection ships for the two buckets.

Arguments: endpoint, directory with ca.pem, where a file for each identity is written, and the administrator's two keys.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions

BUCKETS = ("larapee-hot", "larapee-cold")
IDENTITIES = {"writer": BUCKETS, "auditor": BUCKETS, "pruner": BUCKETS[:1], "restorer": BUCKETS}
PATIENCE_S = 60.0


def policy(policies: Path, name: str) -> str:
    """One document for all buckets of the identity."""
    text = (policies / f"{name}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    found["Statement"] = [
        each for bucket in IDENTITIES[name] for each in json.loads(text.replace("BUCKET", bucket))["Statement"]
    ]
    return json.dumps(found)


def write(path: Path, access_key: str, secret_key: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(f"[s3]\naccess_key = {access_key}\nsecret_key = {secret_key}\n")


def main() -> None:
    endpoint, target, access_key, secret_key = sys.argv[1:]
    directory = Path(target)
    policies = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / (
        "collection/ansible_collections/larapee/backup/roles/offsite/files/policies"
    )
    iam = boto3.session.Session(access_key, secret_key, region_name="us-east-1").client(
        "iam", endpoint_url=endpoint, verify=str(directory / "ca.pem")
    )
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            known = {each["UserName"] for each in iam.list_users()["Users"]}
            break
        except botocore.exceptions.BotoCoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    write(directory / "administrator.ini", access_key, secret_key)
    for name in IDENTITIES:
        if name not in known:
            iam.create_user(UserName=name)
            arn = iam.create_policy(PolicyName=name, PolicyDocument=policy(policies, name))["Policy"]["Arn"]
            iam.attach_user_policy(UserName=name, PolicyArn=arn)
            made = iam.create_access_key(UserName=name)["AccessKey"]
            write(directory / f"{name}.ini", made["AccessKeyId"], made["SecretAccessKey"])


if __name__ == "__main__":
    main()
