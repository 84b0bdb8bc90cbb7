-- Paytm, orders.
--
-- Asks   POST {host}/v3/order/status with {"body": {"mid", "orderId"}, "head": {"signature"}}. The order's reference is the
--        orderId.
-- Pages  https://business.paytm.com/docs/jscheckout-verify-payment, https://www.paytmpayments.com/docs/v1/payment-gateway,
--        https://developer.paytm.com/docs/apis/v3/transaction-status-api. Facts from stored copies, read 2026-11.
--        [V] the staging host, path and request; the signature is over the body member exactly as it is sent; TXN_SUCCESS,
--            TXN_FAILURE, PENDING; rupees; order id and amount have to agree
--        [S] the production host; how the checksum is made; the answer's members; an unknown order answers TXN_FAILURE,
--            "Invalid Order Id."
--        [U] resultCode 334 and NO_RECORD_FOUND for an unknown order, which are read as not_found: should they mean anything
--            else, nothing is closed; refunds; rate limits. paytmpayments.com serves the same path: host can say so
-- Requires: providers.

create function reconcile.add_paytm_orders(
    name text,
    secret text,
    merchant_id text,
    host text default 'https://securegw.paytm.in',
    settings jsonb default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_rules constant jsonb := (
        select jsonb_agg(
            jsonb_build_object('when', replace(rule.predicate, '%result', '$.body.resultInfo'), 'means', rule.outcome)
        )
        from (values
            ('%result.resultStatus == "NO_RECORD_FOUND" || %result.resultCode == "334"', 'not_found'),
            (
                '%result.resultStatus == "TXN_FAILURE" && %result.resultMsg like_regex "^invalid order ?id" flag "i"',
                'not_found'
            ),
            ('%result.resultStatus == "TXN_SUCCESS"', 'succeeded'),
            ('%result.resultStatus == "TXN_FAILURE"', 'failed'),
            ('%result.resultStatus == "PENDING"', 'pending')
        ) as rule (predicate, outcome)
    );
    v_written text;
begin
    v_written := reconcile_internal._add_preset(
        name,
        jsonb_build_object(
            'url', rtrim(host, '/') || '/v3/order/status',
            'variables', jsonb_build_object('merchant_id', merchant_id),
            'auth', jsonb_build_object('kind', 'paytm', 'secret', secret),
            'rules', v_rules
        ) || '{
            "method": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": {"json": {"body": {"mid": "{merchant_id}", "orderId": "{reference}"}, "head": {}}},
            "status_path": "$.body.resultInfo.resultStatus",
            "transaction_id_path": "$.body.txnId",
            "amount_path": "$.body.txnAmount", "amount_unit": "major", "currency": "INR",
            "reference_path": "$.body.orderId",
            "captures": {"bank_transaction_id": "$.body.bankTxnId", "result_code": "$.body.resultInfo.resultCode"}
        }',
        settings
    );
end
$$;

comment on function reconcile.add_paytm_orders(text, text, text, text, jsonb) is
    'Adds Paytm''s orders, decided by resultInfo.resultStatus; secret names the merchant key.';
