-- Stripe, Checkout Sessions.
--
-- Asks   GET {host}/v1/checkout/sessions/{reference}, the secret key as Basic user. The order's reference is the id cs_….
-- Pages  https://docs.stripe.com/checkout/fulfillment, https://docs.stripe.com/rate-limits; the object's fields by its client
--        libraries. Facts from stored copies, read 2026-11.
--        [V] payment_status decides whether to fulfil; 25 calls a second an endpoint
--        [V] ISK has two decimals, 100 are 1 króna (support.stripe.com, deprecation of fractional ISK charges)
--        [S] MGA has none (the list of zero-decimal currencies) and UGX two (the special cases, which win over that list), both
--            as https://docs.stripe.com/currencies is quoted elsewhere; HUF and TWD keep their two for charges
--        [S] status open, complete, expired; payment_status paid, unpaid, no_payment_required; amount_total, currency,
--            payment_intent
-- Complete and unpaid is a delayed method that may still fail or be paid. no_payment_required is a success only of nothing: a
-- session that sets up a later payment stays unknown_status. Refunds don't show. Stripe ends a session by itself; 30 days are
-- ours, for delayed methods.
-- Requires: providers.

create function reconcile.add_stripe_checkout_sessions(
    name text,
    secret text,
    host text default 'https://api.stripe.com',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_rules constant jsonb := (
        select jsonb_agg(jsonb_build_object('when', rule.predicate, 'means', rule.outcome))
        from (values
            ('$.status == "complete" && $.payment_status == "paid"', 'succeeded'),
            ('$.status == "complete" && $.payment_status == "no_payment_required" && $.amount_total == 0', 'succeeded'),
            ('$.status == "complete" && $.payment_status == "unpaid"', 'pending'),
            ('$.status == "open"', 'pending'),
            ('$.status == "expired"', 'cancelled')
        ) as rule (predicate, outcome)
    );
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/v1/checkout/sessions/{reference}',
            'auth', jsonb_build_object('kind', 'basic', 'username_secret', secret),
            'rules', v_rules
        ) || '{
            "status_path": "$.status",
            "transaction_id_path": "$.payment_intent",
            "amount_path": "$.amount_total", "amount_unit": "minor", "currency_path": "$.currency",
            "currency_exponents": {"ISK": 2, "UGX": 2, "MGA": 0},
            "reference_path": "$.id",
            "captures": {"payment_status": "$.payment_status"},
            "schedule": "1m, 30s, 1m, 2m, 4m, 5m x10, then 5m growing by 2 up to 6h",
            "deadline": "30 days",
            "rate_limit": 25, "rate_interval": "1 second"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_stripe_checkout_sessions(text, text, text, jsonb) is
    'Adds Stripe''s Checkout Sessions, decided by status and payment_status; secret names the secret key.';
