<?php
// Copyright (c) 2026, LaraPee contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Jobs;

use Illuminate\Support\Facades\Mail;

class MailReceipt extends OrderJob
{
    public function handle(): void
    {
        $to = config('pos.mail_receipts_to');
        if ($to) {
            $subject = $this->order->invoice_number;
            Mail::raw(WriteReceipt::render($this->order), fn ($message) => $message->to($to)->subject($subject));
        }
    }
}
