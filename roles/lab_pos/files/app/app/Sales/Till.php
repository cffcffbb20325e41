<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Sales;

use App\Jobs\CallOutside;
use App\Jobs\MailReceipt;
use App\Jobs\WriteReceipt;
use App\Models\AuditLog;
use App\Models\Order;
use App\Models\ProductVariant;
use App\Models\User;
use Carbon\CarbonImmutable;
use Illuminate\Database\QueryException;
use Illuminate\Support\Facades\DB;

class Till
{
    private const DUPLICATE_ENTRY = 1062;

    private const ATTEMPTS_AT_DEADLOCK = 5;

    /** The order that was made under this key before, or a new one: $order->wasRecentlyCreated tells which. */
    public function sell(User $cashier, string $key, array $sale): Order
    {
        $known = Order::where('idempotency_key', $key)->first();
        if ($known) {
            return $known;
        }
        try {
            return DB::transaction(fn (): Order => $this->record($cashier, $key, $sale), self::ATTEMPTS_AT_DEADLOCK);
        } catch (QueryException $exception) {
            // Somebody else sold under the same key since we looked.
            $sold = $exception->errorInfo[1] === self::DUPLICATE_ENTRY ? Order::where('idempotency_key', $key)->first() : null;

            return $sold ?? throw $exception;
        }
    }

    private function record(User $cashier, string $key, array $sale): Order
    {
        $branch = config('pos.branch.code');
        $moment = CarbonImmutable::now();
        $test = (bool) ($sale['test'] ?? false);
        $number = InvoiceNumbers::next($branch, $moment, $test);
        $lines = $this->price($sale['items']);
        $subtotal = array_sum(array_column($lines, 'cents'));
        $tax = array_sum(array_column($lines, 'tax_cents'));
        $order = Order::create([
            'branch_code' => $branch,
            'till' => $sale['till'] ?? 1,
            'user_id' => $cashier->id,
            'invoice_number' => $number,
            'idempotency_key' => $key,
            'is_test' => $test,
            'subtotal' => self::money($subtotal),
            'tax' => self::money($tax),
            'total' => self::money($subtotal + $tax),
            'business_day' => $moment->toDateString(),
            'ordered_at' => $moment,
        ]);
        foreach ($lines as $line) {
            $order->items()->create($line['row']);
            DB::table('stock_movements')->insert([
                'variant_id' => $line['row']['variant_id'],
                'order_id' => $order->id,
                'kind' => 'sale',
                'quantity' => '-'.$line['row']['quantity'],
                'occurred_at' => $order->ordered_at->format('Y-m-d H:i:s.u'),
            ]);
            ProductVariant::whereKey($line['row']['variant_id'])->decrement('stock', $line['row']['quantity']);
        }
        DB::table('payments')->insert([
            'order_id' => $order->id,
            'method' => $sale['method'] ?? 'cash',
            'amount' => $order->total,
            'paid_at' => $order->ordered_at->format('Y-m-d H:i:s.u'),
        ]);
        AuditLog::write('order.paid', ['invoice' => $number, 'total' => $order->total, 'test' => $test], $cashier);
        $this->queueWhatFollows($order);

        return $order;
    }

    /** The queue is in the same database: the jobs are committed with the order or not at all. */
    private function queueWhatFollows(Order $order): void
    {
        WriteReceipt::dispatch($order);
        foreach (array_filter(config('pos.outside')) as $channel => $url) {
            CallOutside::dispatch($order, $channel);
        }
        if (config('pos.mail_receipts_to')) {
            MailReceipt::dispatch($order);
        }
    }

    private function price(array $items): array
    {
        // Locked as their stock will change: newer servers refuse to change a row that changed since it was read.
        $variants = ProductVariant::with('product')->lockForUpdate()->findMany(array_column($items, 'variant_id'))->keyBy('id');

        return array_map(static function (array $item) use ($variants): array {
            $variant = $variants[$item['variant_id']];
            $milli = (int) round($item['quantity'] * 1000);
            $cents = intdiv($milli * (int) round($variant->price * 100) + 500, 1000);

            return [
                'cents' => $cents,
                'tax_cents' => (int) round($cents * $variant->product->tax_rate),
                'row' => [
                    'variant_id' => $variant->id,
                    'quantity' => sprintf('%d.%03d', intdiv($milli, 1000), $milli % 1000),
                    'unit_price' => $variant->price,
                    'line_total' => self::money($cents),
                ],
            ];
        }, $items);
    }

    private static function money(int $cents): string
    {
        return sprintf('%d.%02d', intdiv($cents, 100), $cents % 100);
    }
}
