<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Console\Commands;

use App\Models\Branch;
use Illuminate\Console\Command;
use Illuminate\Contracts\Encryption\DecryptException;
use Illuminate\Support\Facades\Crypt;
use RuntimeException;

class CheckAppKey extends Command
{
    protected $signature = 'pos:app-key-check';

    protected $description = 'Tell whether APP_KEY opens what the database holds encrypted';

    public function handle(): int
    {
        $secret = Branch::own()->tax_secret;
        try {
            Crypt::decryptString($secret);
        } catch (DecryptException | RuntimeException $exception) {
            $this->line('APP_KEY does not open what the database holds: '.$exception->getMessage());

            return 1;
        }
        $this->line('APP_KEY opens what the database holds.');

        return 0;
    }
}
