-- PhonePe v2, orders of the standard checkout, with OAuth.
--
-- Asks   GET {host}/checkout/v2/order/{reference}/status, Authorization: O-Bearer. The order's reference is the merchantOrderId.
-- Pages  https://developer.phonepe.com/v1/reference/order-status-standard-checkout-1, …/authorization-standard-checkout,
--        …/handling-webhooks-standard-checkout, https://developer.phonepe.com/payment-gateway/error-codes. Facts from stored
--        copies, read 2026-11.
--        [V] hosts, paths, the token request (form; client_version is 1 on the sandbox), O-Bearer; the root's state PENDING,
--            FAILED, COMPLETED, and that it alone decides: a COMPLETED order can carry the errorCode of an earlier attempt;
--            amounts in paise; orderId is PhonePe's own
--        [S] merchantOrderId, which the official Python SDK 3.0.1 reads; the page's own samples leave it out, so a success may be
--            silent on it
--        [U] a schedule of its own: v1's is taken, thinned out after the 20 minutes that v1 has; a rate limit
-- Partners add X-MERCHANT-ID: settings => '{"headers": {"X-MERCHANT-ID": "…"}}'. The custom checkout has another url:
-- settings => '{"url": "https://api.phonepe.com/apis/pg/payments/v2/order/{reference}/status"}'.
-- Requires: providers.

create function reconcile.add_phonepe_v2(
    name text,
    client_id_secret text,
    client_secret text,
    client_version text,
    host text default 'https://api.phonepe.com/apis/pg',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_host constant text := rtrim(host, '/');
    -- In production tokens come from elsewhere; on the sandbox from the same host.
    v_token_url constant text := case v_host
        when 'https://api.phonepe.com/apis/pg' then 'https://api.phonepe.com/apis/identity-manager/v1/oauth/token'
        else v_host || '/v1/oauth/token'
    end;
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', v_host || '/checkout/v2/order/{reference}/status',
            'auth', jsonb_build_object(
                'kind', 'oauth2', 'token_url', v_token_url, 'client_id_secret', client_id_secret, 'client_secret', client_secret,
                'style', 'form', 'word', 'O-Bearer', 'form', jsonb_build_object('client_version', client_version)
            )
        ) || '{
            "headers": {"Content-Type": "application/json"},
            "status_path": "$.state",
            "status_map": {"COMPLETED": "succeeded", "FAILED": "failed", "PENDING": "pending"},
            "transaction_id_path": "$.paymentDetails[*] ? (@.state == \"COMPLETED\").transactionId",
            "amount_path": "$.amount", "amount_unit": "minor", "currency": "INR",
            "reference_path": "$.merchantOrderId", "may_be_silent_on": ["reference"],
            "captures": {"phonepe_order_id": "$.orderId", "error_code": "$.errorCode"},
            "schedule": "25s, 3s x10, 6s x10, 10s x6, 30s x2, 1m x16, then 5m"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_phonepe_v2(text, text, text, text, text, jsonb) is
    'Adds PhonePe v2, decided by the root state; the two secrets name the client''s id and secret.';
