<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Console\Commands;

use Illuminate\Console\Command;

class ListSideEffects extends Command
{
    protected $signature = 'pos:side-effects';

    protected $description = 'Print which ways to the outside are on; exit 1 when one is';

    public function handle(): int
    {
        $ways = array_map('boolval', config('pos.outside')) + ['mail' => config('mail.default') !== 'log'];
        $this->line(json_encode(array_map(static fn (bool $on): string => $on ? 'on' : 'off', $ways)));

        return in_array(true, $ways, true) ? 1 : 0;
    }
}
