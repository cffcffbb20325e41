<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Sales;

use App\Models\AuditLog;
use App\Models\Branch;
use App\Models\Order;
use Illuminate\Support\Facades\DB;

class DayClosing
{
    /** Closing a day again counts it again: sales that came late are in. */
    public function close(string $day): array
    {
        return DB::transaction(static function () use ($day): array {
            $branch = Branch::own()->code;
            $now = now()->format('Y-m-d H:i:s.u');
            $sold = Order::where(['branch_code' => $branch, 'business_day' => $day, 'is_test' => false]);
            $tills = (clone $sold)->groupBy('till')->selectRaw('till, SUM(total) AS expected')->toBase()->get();
            foreach ($tills as $till) {
                DB::table('shift_closings')->updateOrInsert(
                    ['branch_code' => $branch, 'business_day' => $day, 'till' => $till->till],
                    ['expected' => $till->expected, 'counted' => $till->expected, 'closed_at' => $now],
                );
            }
            $sums = (clone $sold)
                ->selectRaw('COUNT(*) AS orders, COALESCE(SUM(total), 0) AS gross, COALESCE(SUM(tax), 0) AS tax')
                ->toBase()->first();
            $closing = (array) $sums + ['last_invoice' => (clone $sold)->orderByDesc('id')->value('invoice_number')];
            DB::table('daily_branch_closings')->updateOrInsert(
                ['branch_code' => $branch, 'business_day' => $day],
                $closing + ['closed_at' => $now],
            );
            AuditLog::write('day.closed', ['day' => $day] + $closing);

            return $closing;
        });
    }
}
