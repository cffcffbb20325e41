# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the story says when something of it did not come back. Stock tar stands in for the restore."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from larapee_runner.demo.errors import DemoError
from larapee_runner.demo.file_picture import take_file_picture
from larapee_runner.demo.launcher import Launcher
from larapee_runner.demo.moment import Moment
from larapee_runner.demo.narrator import Narrator
from larapee_runner.demo.picture import take_picture
from larapee_runner.demo.recovery import Recovery
from larapee_runner.demo.server import ThrowawayServer
from larapee_runner.demo.shop import open_shop
from larapee_runner.demo.stage import Stage
from larapee_runner.demo.till import Till
from larapee_runner.demo.workplace import prepare_workplace


class Story:
    """The shop's server goes on as the new one; all files came back."""

    def __init__(self, server: ThrowawayServer, directory: Path) -> None:
        workplace, self._lock = prepare_workplace(directory)
        self.output = io.StringIO()
        narrator = Narrator(Console(file=self.output, width=200))
        self.stage = Stage(narrator, workplace, Launcher(workplace, directory), orders=60, seed=11)
        self.stage.shop_server = self.stage.new_server = server
        application = self.stage.application
        application.install(database="larapos", user="root", password="")
        day = date(2026, 11, 21)
        shop = open_shop(server, database="larapos", orders=60, seed=11, last_day=day, uploads=application.uploads)
        with Till(server, shop, user="root", password="", uploads=application.uploads, pause_s=0.002) as till:
            till.wait_until_sold(20, slips=4)
        self.sold = till.receipts
        root = Path("/")
        config = [str(path.relative_to(root)) for path in application.config_paths]
        self.moment = Moment(
            picture=take_picture(server, database="larapos"),
            gtid="1-1-1",
            receipts=self.sold,
            orders_held_s=0,
            files={
                "uploads": take_file_picture(application.uploads.directory, ["."], aside=workplace.aside / "uploads"),
                "config": take_file_picture(root, config, aside=workplace.aside / "config"),
            },
            slips_held_s=0,
        )
        self.uploads, self.config = workplace.restored_uploads, workplace.restored_config
        for source, names, target in (
            (application.uploads.directory, ["."], self.uploads),
            (root, config, self.config),
        ):
            target.mkdir()
            archive = subprocess.run(
                ["tar", "--format=posix", "-c", "--", *names], cwd=source, capture_output=True, check=True
            )
            subprocess.run(["tar", "-x", "-p"], cwd=target, input=archive.stdout, check=True)
        self.environment = self.config / config[0]
        application.remove()
        self.recovery = Recovery(self.stage)

    def close(self) -> None:
        self._lock.close()


@pytest.fixture
def story(server: ThrowawayServer, tmp_path: Path) -> Iterator[Story]:
    made = Story(server, tmp_path / "demo")
    yield made
    made.close()
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE larapos")
    connection.close()


def lose_last(story: Story, count: int) -> Moment:
    """As if the last receipts had been sold after the log was sealed."""
    return replace(story.moment, receipts=story.sold[:-count])


def test_all_is_equal_and_accounted_for(story: Story) -> None:
    story.recovery.compare_files(story.moment)
    told = story.output.getvalue()
    assert "EQUAL uploads: " in told
    assert "EQUAL .env and nginx: 2 files, 3 directories, 1 symbolic link, " in told
    assert "rows name a picture or slip" in told


def test_a_wrong_file_is_not_called_equal(story: Story) -> None:
    slip = next(path for path in (story.uploads / "payment-slips").rglob("*.png"))
    slip.write_bytes(slip.read_bytes()[:-1])
    with pytest.raises(DemoError, match=r"Failed to prove equality: 1 differences: .*differ\. What was restored"):
        story.recovery.compare_files(story.moment)
    assert "EQUAL" not in story.output.getvalue()


def test_a_readable_environment_is_not_called_equal(story: Story) -> None:
    story.environment.chmod(0o644)
    with pytest.raises(DemoError, match=r"Failed to prove equality: 2 differences: .*640.*644"):
        story.recovery.compare_files(story.moment)
    assert "EQUAL .env and nginx" not in story.output.getvalue()


def test_a_row_without_its_file_is_told(story: Story) -> None:
    connection = story.stage.new_server.connect(database="larapos")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE payment_slips SET path = 'gone.png' ORDER BY id LIMIT 1")
    connection.close()
    with pytest.raises(DemoError, match=r"what the rows of larapos name: .*gone\.png"):
        story.recovery.compare_files(story.moment)


def test_what_was_lost_is_named(story: Story) -> None:
    first, *lost = story.sold
    moment = replace(story.moment, receipts=(first,))
    slips = [receipt.slip for receipt in lost if receipt.slip]
    connection = story.stage.new_server.connect(database="larapos")
    with connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        cursor.execute("DELETE FROM orders WHERE invoice_number IN %s", ([receipt.number for receipt in lost],))
    connection.close()
    with pytest.raises(DemoError, match=rf"{len(slips)} from after it are there: payment-slips/"):
        story.recovery.tell_losses(moment, story.sold)
    for slip in slips:
        (story.uploads / slip).unlink()
    story.recovery.tell_losses(moment, story.sold)
    told = story.output.getvalue()
    assert f"all 1 receipts up to {first.number} (" in told
    assert f"{len(lost)} receipts of the last " in told
    assert f"{len(slips)} slips uploaded with them are lost:" in told
    assert f"from {slips[0]}" in told
    assert f"to   {slips[-1]}" in told


def test_a_missing_slip_is_told(story: Story) -> None:
    slip = next(receipt.slip for receipt in story.sold if receipt.slip)
    (story.uploads / slip).unlink()
    with pytest.raises(DemoError, match=r": 1 from before the last seal are missing, \d+ from after it are there: pay"):
        story.recovery.tell_losses(lose_last(story, 1), story.sold)
