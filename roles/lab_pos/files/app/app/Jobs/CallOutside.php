<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Jobs;

use App\Models\Order;
use RuntimeException;

class CallOutside extends OrderJob
{
    private const TIMEOUT_S = 10;

    public string $channel;

    public function __construct(Order $order, string $channel)
    {
        parent::__construct($order);
        $this->channel = $channel;
    }

    public function handle(): void
    {
        // Read when the job runs, not when it was queued: an address taken away stops the jobs that wait, too.
        $url = config("pos.outside.{$this->channel}");
        if (! $url) {
            return;
        }
        $answer = @file_get_contents($url, false, stream_context_create(['http' => [
            'method' => 'POST',
            'header' => 'Content-Type: application/json',
            'content' => json_encode(['event' => 'order.paid', 'channel' => $this->channel] + $this->order->answer()),
            'timeout' => self::TIMEOUT_S,
            'follow_location' => 0,
        ]]));
        if ($answer === false) {
            throw new RuntimeException("Failed to call {$this->channel} for {$this->order->invoice_number}.");
        }
    }
}
