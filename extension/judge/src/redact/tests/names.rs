//! Names that speak of a secret, and names that only look like it.

use super::*;

/// A value of such a name is masked.
#[rustfmt::skip]
const SENSITIVE: &[&str] = &[
    "cvv2", "cvc2", "CVC", "security_code", "cardSecurityCode", "id_token", "session_token",
    "voucher_pin", "voucherPin", "VOUCHERPIN", "voucherpin", "pin_code", "PIN-Code", "pinCode2",
    "ｃｖｖ２", "ｐｉｎ＿ｃｏｄｅ", "p\u{200b}in", "access.token", "access token", "accesstoken",
    "client_secret", "clientsecret", "password_confirmation", "userPassword1", "mysql_pwd",
    "api_key", "apikey", "x-api-key", "serverKey", "saltkey", "vendor_key", "card_number", "cardNo",
    "PAN", "pan_hash", "track2Data", "track_1", "PINBlock", "PINs", "set-cookie", "card[cvc]",
    "authorization", "code_verifier", "client_assertion", "refresh_token_value", "vOuCherPIN",
    "sessionId", "payment_method_nonce", "credentials", "one_time_code",
];

/// One of these stays.
#[rustfmt::skip]
const HARMLESS: &[&str] = &[
    "status", "reference", "transaction_id", "pin_status", "pinStatus", "shipping", "panel",
    "company", "web_spinner", "tokenized", "token_type", "authorization_code", "auth_code", "code",
    "currency_code", "status_code", "responseCode", "number", "order_number", "card", "card_type",
    "card_last4", "last4", "cvc_check", "cvv_result", "idempotency_key", "public_key", "key",
    "version_token", "next_page_token", "bearer", "fee_bearer", "checkout_session", "session",
    "tracking_number", "track_id", "secretary", "japan", "monkey", "hash", "salt_index",
    "authorizations", "authorization_url", "passenger_name", "cid", "nonce", "", "a", "___",
    "timespan", "opinion", "account_number", "amount", "description", "customer_email",
];

#[test]
fn names_are_judged_by_what_they_are_about() {
    for name in SENSITIVE {
        assert!(is_sensitive_name(name, &[]), "{name} is sensitive");
    }
    for name in HARMLESS {
        assert!(!is_sensitive_name(name, &[]), "{name} is not sensitive");
    }
    let also = ["Tax Number".to_owned(), "-".to_owned()];
    assert!(is_sensitive_name("tax_number", &also) && is_sensitive_name("ＴａｘNumber", &also));
    assert!(!is_sensitive_name("tax_numbers", &also), "compared whole");
    assert!(is_sensitive_name("-", &also) && !is_sensitive_name("+", &also));
}

#[test]
fn values_that_say_nothing_stay_and_all_others_of_a_sensitive_name_go() {
    let body =
        r#"{"otp":null,"password":"","pin":0,"token":false,"tokenized":true,"tokens":[1,{"a":2}]}"#;
    assert_eq!(
        redacted(body, &[]).as_deref(),
        Some(
            r#"{"otp":null,"password":"[redacted]","pin":"[redacted]","token":false,"tokenized":true,"tokens":"[redacted]"}"#
        )
    );
    let also = ["flag".to_owned()];
    assert_eq!(
        redacted(r#"{"flag":true}"#, &also).as_deref(),
        Some(r#"{"flag":"[redacted]"}"#),
        "what the provider's row names goes, but for null"
    );
}
