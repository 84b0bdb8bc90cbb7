-- Razorpay, orders by their payments.
--
-- Asks   GET {host}/v1/orders/{reference}/payments, Basic with key id and key secret. The order's reference is the id order_….
-- Pages  https://razorpay.com/docs/api/orders/fetch-with-id, https://razorpay.com/docs/api/authentication,
--        …/best-practices/payment-states-and-late-authorisation, …/best-practices/webhooks-and-fetch-apis.md. Facts from stored
--        copies, read 2026-11.
--        [V] the path, as the way to recover; the payment's statuses and amounts, as in razorpay_payments.sql; an order stays
--            "paid" after a refund, so its own status is not asked for; "keep the order open after payment.failed": Razorpay
--            asks the bank for 3 days, and the buyer can pay again; an order older than 180 days answers 400
--        [S] the list's members: items, each a payment with order_id
--        [U] figures of the rate limit; what an unknown id answers
-- By the order's number, where by_receipt says that the application gives it as receipt:
--        GET {host}/v1/orders?receipt={order_number}&expand[]=payments, a list of orders with their payments.
-- Pages  https://razorpay.com/docs/api/orders/fetch-all, …/orders/fetch-all-expanded-payments, read 2026-11.
--        [V] the parameters, and payments in each order of the list
--        [S] a new order is in the list only after half a minute and more (measured by others), so one that is not there is not found yet
-- Two payments that took money are one too many, and go to review. Failed payments alone leave an order open until its deadline, 3 days, when the last late authorisation has come. A 400 is
-- provider_error: it closes nothing, and an order past its deadline goes to review.
-- Requires: providers.

create function reconcile.add_razorpay_orders(
    name text,
    key_id_secret text,
    key_secret text,
    host text default 'https://api.razorpay.com',
    settings jsonb default '{}',
    by_receipt boolean default false
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    -- Whose money counts: taken, or taken and paid back.
    v_taken constant text := '$.items[*] ? (@.status == "captured" || @.status == "refunded")';
    v_rules constant jsonb := (
        select jsonb_agg(jsonb_build_object('when', rule.predicate, 'means', rule.outcome))
        from (values
            ('exists($.items[*] ? (@.status == "captured" && !(@.refund_status == "full")))', 'succeeded'),
            ('$.items[*].status == "authorized" || $.items[*].status == "created"', 'pending'),
            ('$.items[*].status == "refunded" || $.items[*].refund_status == "full"', 'refunded'),
            ('$.items[*].status == "failed"', 'pending'),
            ('$.items.size() == 0', 'pending')
        ) as rule (predicate, outcome)
    );
    -- In the list of orders: those that the application made for this one, and the payments of these.
    v_own constant text := '$.items[*] ? (@.receipt == $order_number)';
    v_payments constant text := v_own || '.payments.items[*]';
    v_paid constant text := v_payments || ' ? (@.status == "captured" || @.status == "refunded")';
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/v1/orders/{reference}/payments',
            'auth', jsonb_build_object('kind', 'basic', 'username_secret', key_id_secret, 'password_secret', key_secret),
            'rules', v_rules,
            'transaction_id_path', v_taken || '.id',
            'amount_path', v_taken || '.amount',
            'currency_path', v_taken || '.currency',
            'refunded_path', v_taken || '.amount_refunded',
            'without_reference', case when by_receipt then jsonb_build_object(
                'url', rtrim(host, '/') || '/v1/orders?receipt={order_number}&expand%5B%5D=payments',
                'status_path', v_payments || '.status',
                'rules', (
                    select jsonb_build_array(jsonb_build_object('when', format('!exists(%s)', v_own), 'means', 'not_found')) || jsonb_agg(
                        jsonb_build_object('when', case when rule ->> 'when' = '$.items.size() == 0' then format('!exists(%s)', v_payments)
                            else replace(rule ->> 'when', '$.items[*]', v_payments) end, 'means', rule ->> 'means') order by place)
                    from jsonb_array_elements(v_rules) with ordinality as each (rule, place)
                ),
                'transaction_id_path', v_paid || '.id', 'amount_path', v_paid || '.amount', 'currency_path', v_paid || '.currency',
                'refunded_path', v_paid || '.amount_refunded',
                -- Of several the one that was paid.
                'reference_path', format('%s ? (@.payments.items[*].status == "captured" || @.payments.items[*].status == "refunded" '
                    '|| !exists(%s)).id', v_own, v_paid)
            ) end
        ) || '{
            "status_path": "$.items[*].status",
            "amount_unit": "minor", "amounts_add_up": true,
            "reference_path": "$.items[*].order_id",
            "schedule": "15m, then 5m growing by 2 up to 6h",
            "deadline": "3 days",
            "late_watch": "1h, 23h, 2d"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_razorpay_orders(text, text, text, text, jsonb, boolean) is
    'Adds Razorpay''s orders, decided by their payments; the two secrets name the key''s id and secret. by_receipt: an order without a reference '
    'is looked for by its number, which the application gave as receipt.';
