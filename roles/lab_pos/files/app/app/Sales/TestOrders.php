<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Sales;

use App\Models\AuditLog;
use App\Models\Order;
use App\Models\ProductVariant;
use App\Models\User;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Storage;

class TestOrders
{
    /** Removes what the order left, its files last: no row ever names a file that is gone. */
    public function remove(Order $order, User $actor): void
    {
        abort_unless($order->is_test, 403, "{$order->invoice_number} is no test order: it stays.");
        $slips = $order->slips->pluck('path')->all();
        DB::transaction(static function () use ($order, $actor): void {
            foreach (DB::table('stock_movements')->where('order_id', $order->id)->get() as $movement) {
                ProductVariant::whereKey($movement->variant_id)->decrement('stock', $movement->quantity);
            }
            $order->delete();
            AuditLog::write('order.test_removed', ['invoice' => $order->invoice_number], $actor);
        });
        Storage::disk('public')->delete($slips);
        Storage::disk('local')->delete($order->receiptPath());
    }
}
