<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Sales;

use Carbon\CarbonInterface;
use Illuminate\Support\Facades\DB;

class InvoiceNumbers
{
    /**
     * Call it first in the transaction of the sale: the row stays locked until that ends, and a sale that is rolled back
     * gives its number back. So numbers have no gap.
     */
    public static function next(string $branchCode, CarbonInterface $moment, bool $test): string
    {
        // Test orders are removed again; with numbers of their own they leave no gap among the invoices.
        $document = $test ? 'test' : 'invoice';
        $row = ['branch_code' => $branchCode, 'document' => $document, 'day' => $moment->toDateString()];
        DB::table('document_sequences')->upsert(
            [$row + ['last_number' => 1]],
            array_keys($row),
            ['last_number' => DB::raw('last_number + 1')],
        );
        $number = DB::table('document_sequences')->where($row)->lockForUpdate()->value('last_number');

        return ($test ? 'TEST-' : '').sprintf('%s-%s-%04d', $branchCode, $moment->format('Ymd'), $number);
    }
}
