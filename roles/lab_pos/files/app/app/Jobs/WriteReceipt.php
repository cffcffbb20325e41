<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Jobs;

use App\Models\Branch;
use App\Models\Order;
use Illuminate\Support\Facades\Storage;
use Illuminate\Support\Str;

class WriteReceipt extends OrderJob
{
    public function handle(): void
    {
        Storage::disk('local')->put($this->order->receiptPath(), self::render($this->order));
        $this->order->update(['receipt_at' => now()]);
    }

    public static function render(Order $order): string
    {
        $order->loadMissing('items.variant.product');
        $escaped = view('receipt', ['order' => $order, 'branch' => Branch::own()])->render();

        return Str::finish(ltrim(html_entity_decode($escaped, ENT_QUOTES | ENT_HTML5)), "\n");
    }
}
