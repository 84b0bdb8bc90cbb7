-- Razorpay, payments.
--
-- Asks   GET {host}/v1/payments/{reference}, Basic with key id and key secret. The order's reference is the id pay_….
-- Pages  https://razorpay.com/docs/sg/api/payments/entity, https://razorpay.com/docs/api/authentication,
--        …/best-practices/payment-states-and-late-authorisation. Facts from stored copies, read 2026-11.
--        [V] statuses created, authorized, captured, refunded, failed; refund_status null, partial, full; amount and
--            amount_refunded in sub-units; Basic; 429 with a request to back off and to randomise; late authorisation:
--            Razorpay fails a payment after some 10 minutes without the bank's word and asks the bank for 3 days more, and it
--            may become authorized; look at what is still open after 15 minutes
--        [V] three decimals for KWD, BHD, OMR and none for JPY, as in ISO 4217 (…/spot-platform-integration/checkout-parameters)
--        [U] decimals of other such currencies; figures of the rate limit; what an unknown id answers
-- A failed payment closes the order, and only orders that were given up are watched. Where a late authorisation matters, ask
-- about the Razorpay order instead, which stays open: razorpay_orders.sql.
-- Requires: providers.

create function reconcile.add_razorpay_payments(
    name text,
    key_id_secret text,
    key_secret text,
    host text default 'https://api.razorpay.com',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_rules constant jsonb := (
        select jsonb_agg(jsonb_build_object('when', rule.predicate, 'means', rule.outcome))
        from (values
            ('$.status == "refunded" || $.refund_status == "full"', 'refunded'),
            ('$.status == "captured"', 'succeeded'),
            ('$.status == "created" || $.status == "authorized"', 'pending'),
            ('$.status == "failed"', 'failed')
        ) as rule (predicate, outcome)
    );
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/v1/payments/{reference}',
            'auth', jsonb_build_object('kind', 'basic', 'username_secret', key_id_secret, 'password_secret', key_secret),
            'rules', v_rules
        ) || '{
            "status_path": "$.status",
            "transaction_id_path": "$.id",
            "amount_path": "$.amount", "amount_unit": "minor", "currency_path": "$.currency",
            "refunded_path": "$.amount_refunded",
            "reference_path": "$.id",
            "captures": {"razorpay_order_id": "$.order_id", "error_code": "$.error_code"},
            "schedule": "15m, then 5m growing by 2 up to 6h",
            "deadline": "24 hours",
            "late_watch": "1h, 23h, 2d"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_razorpay_payments(text, text, text, text, jsonb) is
    'Adds Razorpay''s payments, decided by status and refund_status; the two secrets name the key''s id and secret.';
