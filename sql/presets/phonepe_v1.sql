-- PhonePe v1, payments signed with X-VERIFY.
--
-- Asks   GET {host}/pg/v1/status/{merchant_id}/{reference}. The order's reference is the merchantTransactionId.
-- Pages  https://developer.phonepe.com/v1/reference/check-status-api-1, …/check-transaction-status-4,
--        …/v1/docs/pg-standard-checklist, …/v1/docs/late-authorization. Facts from stored copies, read 2026-11.
--        [V] both hosts and the path; what X-VERIFY signs: the endpoint alone, from /pg/v1 on, without what the host has for a
--            path (/apis/hermes); X-MERCHANT-ID; that `code` decides and data.state and payResponseCode do not; the codes
--            PAYMENT_SUCCESS, PAYMENT_ERROR (final), PAYMENT_PENDING, INTERNAL_SERVER_ERROR ("does not indicate failed
--            payment"), TRANSACTION_NOT_FOUND, BAD_REQUEST, AUTHORIZATION_FAILED, INVALID_TRANSACTION_ID; amounts in paise
--        [S] PAYMENT_DECLINED and TIMED_OUT fail, PAYMENT_CANCELLED cancels, PAYMENT_INITIATED is open
--        [U] the HTTP status that comes with each code: 400, 404 and 500 have their body read; a rate limit: settings can set one
-- When   PhonePe's own schedule for reconciling, step by step, until a payment times out 20 minutes after its start [V]. An
--        order is created before its payment starts, and the answer may be pending in that very minute: hence 25.
-- Requires: providers.

create function reconcile.add_phonepe_v1(
    name text,
    secret text,
    merchant_id text,
    salt_index text default '1',
    host text default 'https://api.phonepe.com/apis/hermes',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_host constant text := rtrim(host, '/');
    v_base_path constant text := substring(v_host from '^[a-z]+://[^/]+(/.*)$');
    v_rules constant jsonb := (
        select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('when', rule.predicate, 'means', rule.outcome, 'about', rule.about)))
        from (values
            ('$.code == "PAYMENT_SUCCESS"', 'succeeded', null),
            ('$.code == "PAYMENT_ERROR" || $.code == "PAYMENT_DECLINED" || $.code == "TIMED_OUT"', 'failed', null),
            ('$.code == "PAYMENT_CANCELLED"', 'cancelled', null),
            ('$.code == "PAYMENT_PENDING" || $.code == "PAYMENT_INITIATED"', 'pending', null),
            ('$.code == "TRANSACTION_NOT_FOUND"', 'not_found', null),
            ('$.code == "INTERNAL_SERVER_ERROR"', 'provider_error', 'provider'),
            -- About one order's id, and not about our credentials, with whatever HTTP status it comes.
            ('$.code == "BAD_REQUEST" || $.code == "INVALID_TRANSACTION_ID"', 'provider_error', 'order'),
            ('$.code == "AUTHORIZATION_FAILED"', 'refused', null)
        ) as rule (predicate, outcome, about)
    );
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', v_host || '/pg/v1/status/{merchant_id}/{reference}',
            'variables', jsonb_build_object('merchant_id', merchant_id),
            'auth', jsonb_build_object('kind', 'x_verify', 'secret', secret, 'index', salt_index)
                || case when v_base_path is null then '{}' else jsonb_build_object('base_path', v_base_path) end,
            'rules', v_rules
        ) || '{
            "headers": {"Content-Type": "application/json", "X-MERCHANT-ID": "{merchant_id}"},
            "http_outcomes": {"400": "body", "404": "body", "500": "body"},
            "status_path": "$.code",
            "transaction_id_path": "$.data.transactionId",
            "amount_path": "$.data.amount", "amount_unit": "minor", "currency": "INR",
            "reference_path": "$.data.merchantTransactionId",
            "captures": {"response_code": "$.data.responseCode"},
            "schedule": "25s, 3s x10, 6s x10, 10s x6, 30s x2, then 1m",
            "deadline": "25 minutes"
        }',
        settings
    );
end
$$;

comment on function reconcile.add_phonepe_v1(text, text, text, text, text, jsonb) is
    'Adds PhonePe v1, decided by code; secret names the salt key.';
