-- What is stored of an answer: the provider's own words, without secrets, card numbers and what its row calls sensitive.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}', sensitive => '{customer_phone, "Tax Number"}');
select reconcile.track_order('ORD-' || n, 'vendor', created_at => now() - interval '10 minutes') from generate_series(1, 4) as n;
select reconcile.sidecar_start('by hand', '1', 100) as sidecar_id \gset
select array_agg(order_id order by order_id) as ids, array_agg(token order by order_id) as tokens from reconcile.sidecar_claim(:sidecar_id, 10) \gset
select * from reconcile.sidecar_report(:sidecar_id, :'ids', :'tokens', null, '{200,200,200,500}', array[
    '{"status": "paid", "amount": 10.10, "id": "33375390"}',
    '{"status": "paid", "PIN-Code": "1234", "cards": [{"number": "4111 1111 1111 1111", "cvv": 123, "token": null}],
      "access_token": {"a": 1}, "customerPhone": "+1 555", "tax_number": ["1", "2"], "note": "4111111111111112"}',
    '{"status": "paid", "deep": ' || repeat('[', 200) || '{"pin": 1}' || repeat(']', 200) || '}',
    '{"error": "no", "api_key": "k"}'], null, null, null);
\pset format unaligned
\pset footer off
select order_number, outcome, response from reconcile.checks order by order_number;

-- The same from SQL: NULL says that nothing had to be masked.
select body, reconcile_internal.redact(body, '{mine}') from unnest(array['{"status": "paid"}', '{"mine": 1, "yours": 2}', '{"Mine": null}', '[{"password": ""}]',
    '"5555555555554444"', '"5555555555554445"', '{"a": "5555-5555-5555-4444"}', 'not JSON', '']) as body;

-- Names go by what they are about, in any spelling; texts keep what is not sensitive in them; JSON, URLs and forms in texts are opened.
select body, reconcile_internal.redact(body, '{}') from unnest(array['{"cvv2": "1", "voucher_pin": "2", "id_token": "3", "ｃｖｃ２": "4", "securityCode": "5"}',
    '{"pin_status": "used", "shipping": "DHL", "tokenized": true, "auth_code": "831000", "transaction_id": "T-1", "created": "20251124081655"}',
    '{"error": "Invalid token: Bearer abc.DEF-123", "note": "card 4111 1111 1111 1111 was declined"}', '{"4111.1111.1111.1111": {"track": ";4111111111111111=25121011234?"}}',
    '{"raw": "{\"data\": \"{\\\"pin\\\": \\\"1234\\\"}\"}"}', '{"url": "https://v.example/pay?id=7&access_token=abc"}', '{"pin": "1234", "pin": null}']) as body;
select body, reconcile_internal.redact_text(body, '{mine}') from unnest(array['the vendor said: mine=5, yours=6', 'declined', 'key sk_live_0123abcd is revoked']) as body;
select name, reconcile_internal.is_sensitive(name) from unnest(array['voucherPin', 'pin_status', 'status', 'x-api-key']) as name;
