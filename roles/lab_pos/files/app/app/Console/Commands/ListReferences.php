<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Console\Commands;

use Illuminate\Console\Command;
use Illuminate\Support\Facades\DB;

class ListReferences extends Command
{
    protected $signature = 'pos:references';

    protected $description = 'Print a JSON line for each file below storage/app/public that the database names';

    public function handle(): int
    {
        $slips = DB::table('payment_slips')->select('id', 'path', 'sha256');
        $pictures = DB::table('products')->whereNotNull('picture_path')
            ->select('id', 'picture_path AS path', 'picture_sha256 AS sha256');
        foreach (['payment_slips' => $slips, 'products' => $pictures] as $table => $query) {
            foreach ($query->orderBy('id')->lazy() as $row) {
                $line = ['table' => $table, 'path' => $row->path, 'sha256' => $row->sha256];
                $this->line(json_encode($line, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE));
            }
        }

        return 0;
    }
}
