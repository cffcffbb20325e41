# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role promises about its variables and its secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.lab_pos.lab import ROLE, role_file

if TYPE_CHECKING:
    from tests.lab_pos.lab import LabPos


def test_the_documented_defaults_are_the_defaults() -> None:
    options = role_file("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items() if "default" in option} == role_file(
        "defaults/main.yml"
    )
    assert [name for name, option in options.items() if option.get("required")] == ["lab_pos_cashier_password"]


def test_the_settings_in_the_repository_hold_no_secret() -> None:
    settings = (ROLE / "templates/env.j2").read_text(encoding="utf-8")
    secrets = re.findall(r"^(?:APP_KEY|DB_PASSWORD)=(.*)$", settings, re.MULTILINE)
    assert secrets == ["{{ __lab_pos_app_key }}", "{{ __lab_pos_database_password }}"]
    assert [path for path in ROLE.rglob("*") if path.name.startswith(".env")] == []


@pytest.mark.xdist_group("lab_pos")
def test_the_database_knows_neither_password_nor_token_nor_secret_in_clear(lab: LabPos, token: str) -> None:
    everything = ""
    for (table,) in lab.rows("SHOW TABLES"):
        everything += str(lab.rows(f"SELECT * FROM `{table}`"))
    assert "cashier@lab.example" in everything
    assert lab.password not in everything
    assert token not in everything
    assert "'tax " not in everything
