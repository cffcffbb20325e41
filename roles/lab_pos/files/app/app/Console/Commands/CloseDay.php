<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Console\Commands;

use App\Sales\DayClosing;
use Carbon\CarbonImmutable;
use Illuminate\Console\Command;

class CloseDay extends Command
{
    protected $signature = 'pos:daily-close {--date= : The day to close, as YYYY-MM-DD; yesterday when left out}';

    protected $description = 'Close the day of this branch';

    public function handle(DayClosing $closing): int
    {
        $given = $this->option('date') ?? CarbonImmutable::yesterday()->toDateString();
        if (! CarbonImmutable::hasFormat($given, 'Y-m-d')) {
            $this->error("Failed to close a day: \"{$given}\" is no date. Give it as YYYY-MM-DD.");

            return 1;
        }
        $this->line(json_encode(['day' => $given] + $closing->close($given)));

        return 0;
    }
}
