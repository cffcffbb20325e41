<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Console;

use App\Console\Commands;
use Illuminate\Console\Scheduling\Schedule;
use Illuminate\Foundation\Console\Kernel as ConsoleKernel;

class Kernel extends ConsoleKernel
{
    protected $commands = [
        Commands\CheckAppKey::class,
        Commands\CloseDay::class,
        Commands\ListReferences::class,
        Commands\ListSideEffects::class,
    ];

    protected function schedule(Schedule $schedule): void
    {
        $schedule->command('pos:daily-close')->dailyAt('00:05');
        $schedule->command('queue:prune-failed', ['--hours' => 24 * 30])->dailyAt('03:30');
    }
}
