<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Models;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\HasMany;

class Order extends Model
{
    public $timestamps = false;

    protected $guarded = [];

    protected $casts = ['is_test' => 'boolean', 'ordered_at' => 'datetime', 'receipt_at' => 'datetime'];

    protected $dateFormat = 'Y-m-d H:i:s.u';

    public static function ofInvoice(string $invoice): self
    {
        return self::where('invoice_number', $invoice)->firstOrFail();
    }

    public function items(): HasMany
    {
        return $this->hasMany(OrderItem::class);
    }

    public function slips(): HasMany
    {
        return $this->hasMany(PaymentSlip::class);
    }

    public function receiptPath(): string
    {
        return "receipts/{$this->invoice_number}.txt";
    }

    public function answer(): array
    {
        return [
            'invoice' => $this->invoice_number,
            'test' => $this->is_test,
            'subtotal' => $this->subtotal,
            'tax' => $this->tax,
            'total' => $this->total,
            'ordered_at' => $this->ordered_at->format('Y-m-d\TH:i:s.uP'),
            'receipt_at' => optional($this->receipt_at)->format('Y-m-d\TH:i:s.uP'),
            'items' => $this->items->map->only(['variant_id', 'quantity', 'unit_price', 'line_total'])->all(),
        ];
    }
}
