-- Stripe, PaymentIntents.
--
-- Asks   GET {host}/v1/payment_intents/{reference}, the secret key as Basic user. The order's reference is the id pi_….
-- Pages  https://docs.stripe.com/api/payment_intents, https://docs.stripe.com/rate-limits. Facts from stored copies, read 2026-11.
--        [V] the key as Basic user; amounts in minor units; 25 calls a second an endpoint, and all intents are one endpoint;
--            `processing` can last days
--        [V] ISK has two decimals, 100 are 1 króna (support.stripe.com, deprecation of fractional ISK charges)
--        [S] MGA has none (the list of zero-decimal currencies) and UGX two (the special cases, which win over that list), both
--            as https://docs.stripe.com/currencies is quoted elsewhere; HUF and TWD keep their two for charges
--        [S] the seven statuses (the API's text in its client libraries): there is no "failed", a declined payment goes back
--            to requires_payment_method; only succeeded and canceled are final; amount_received, latest_charge; uncaptured
--            intents are cancelled after 7 days
-- Refunds don't show: the intent stays succeeded. An abandoned one stays requires_payment_method until somebody cancels it, so
-- orders of this preset end by their deadline. 14 days are ours, for bank debits that are processing.
-- Requires: providers.

create function reconcile.add_stripe_payment_intents(
    name text,
    secret text,
    host text default 'https://api.stripe.com',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/v1/payment_intents/{reference}',
            'auth', jsonb_build_object('kind', 'basic', 'username_secret', secret)
        ) || '{
            "status_path": "$.status",
            "status_map": {
                "succeeded": "succeeded", "canceled": "cancelled",
                "requires_payment_method": "pending", "requires_confirmation": "pending", "requires_action": "pending",
                "processing": "pending", "requires_capture": "pending"
            },
            "transaction_id_path": "$.id",
            "amount_path": "$.amount_received", "amount_unit": "minor", "currency_path": "$.currency",
            "currency_exponents": {"ISK": 2, "UGX": 2, "MGA": 0},
            "reference_path": "$.id",
            "captures": {"charge": "$.latest_charge"},
            "sensitive": ["client_secret"],
            "schedule": "1m, 30s, 1m, 2m, 4m, 5m x10, then 5m growing by 2 up to 6h",
            "deadline": "14 days",
            "rate_limit": 25, "rate_interval": "1 second"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_stripe_payment_intents(text, text, text, jsonb) is
    'Adds Stripe''s PaymentIntents, decided by status; secret names the secret key.';
