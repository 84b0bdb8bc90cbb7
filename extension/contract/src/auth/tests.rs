//! Every way to sign, in good and in bad form.

use super::*;
use serde_json::json;

fn auth_complaint(auth: Value) -> Option<String> {
    Auth::parse(auth).err()
}

#[test]
fn ways_to_sign() {
    for good in [
        json!({"kind": "none"}),
        json!({"kind": "bearer", "secret": "VENDOR_TOKEN"}),
        json!({"kind": "basic", "username_secret": "STRIPE_KEY"}),
        json!({"kind": "header", "header": "X-API-Key", "secret": "K1"}),
        json!({"kind": "x_verify", "secret": "SALT", "index": "1"}),
        json!({"kind": "x_verify", "secret": "SALT", "index": "1", "base_path": "/apis/hermes"}),
        json!({"kind": "hmac", "secret": "A", "header": "X-S", "signs": "{timestamp}.{body}"}),
        json!({"kind": "paytm", "secret": "MERCHANT_KEY"}),
        json!({"kind": "query", "parameter": "api_key", "secret": "K1"}),
        json!({"kind": "none", "secret_headers": {"x-client-id": "ID", "x-client-secret": "KEY"}}),
        json!({"kind": "bearer", "secret": "A", "secret_headers": {"X-Api-Key": "KEY"}}),
    ] {
        assert_eq!(auth_complaint(good.clone()), None, "{good}");
    }
    for bad in [
        json!({}),
        json!({"kind": "magic"}),
        json!({"kind": "bearer"}),
        json!({"kind": "bearer", "secret": "sk_live_1"}),
        json!({"kind": "bearer", "secret": "A", "extra": 1}),
        json!({"kind": "basic"}),
        json!({"kind": "header", "header": "X\nY", "secret": "A"}),
        json!({"kind": "header", "header": "Host", "secret": "A"}),
        json!({"kind": "x_verify", "secret": "SALT"}),
        json!({"kind": "x_verify", "secret": "SALT", "index": 1}),
        json!({"kind": "x_verify", "secret": "salt", "index": "1"}),
        json!({"kind": "paytm", "secret": "k"}),
        json!({"kind": "paytm", "secret": "A", "iv": "@"}),
        json!({"kind": "query", "secret": "A"}),
        json!({"kind": "query", "parameter": "a b", "secret": "A"}),
        json!({"kind": "query", "parameter": "key", "secret": "sk_live_1"}),
        json!({"kind": "none", "secret_headers": ["X-Api-Key"]}),
        json!({"kind": "none", "secret_headers": {"X-Api-Key": "sk_live_1"}}),
        json!({"kind": "none", "secret_headers": {"X-Api-Key": 1}}),
        json!({"kind": "none", "secret_headers": {"Host": "A"}}),
        json!({"kind": "bearer", "secret": "A", "secret_headers": {"authorization": "B"}}),
        json!({"kind": "header", "header": "X-Key", "secret": "A", "secret_headers": {"x-key": "B"}}),
    ] {
        assert!(auth_complaint(bad.clone()).is_some(), "{bad}");
    }
}

/// Each value in the place of a field's, and a part of the complaint; `None` for those that will do.
fn assert_complaints(base: &Value, cases: &[(&str, Value, Option<&str>)]) {
    assert_eq!(auth_complaint(base.clone()), None, "{base}");
    for (field, value, expected) in cases {
        let mut auth = base.clone();
        auth[field] = value.clone();
        let complaint = auth_complaint(auth);
        match expected {
            None => assert_eq!(complaint, None, "{field} {value}"),
            Some(part) => assert!(
                complaint.as_ref().is_some_and(|text| text.contains(part)),
                "{field} {value}: {complaint:?}"
            ),
        }
    }
}

#[test]
fn x_verify() {
    let base = json!({"kind": "x_verify", "secret": "SALT", "index": "1"});
    assert_complaints(
        &base,
        &[
            ("index", json!("12"), None),
            ("index", json!(""), Some("index: it is empty")),
            (
                "index",
                json!("1 "),
                Some("index: it is empty or holds a blank"),
            ),
            ("index", json!("1\r\nX: y"), Some("index")),
            ("base_path", json!("/"), None),
            ("base_path", json!("apis"), Some("base_path")),
            ("base_path", json!("/apis?x"), Some("base_path")),
            ("base_path", json!("/ap\nis"), Some("base_path")),
            ("header", json!("X"), Some("unknown field")),
        ],
    );
}

#[test]
fn oauth2() {
    let base = json!({
        "kind": "oauth2", "token_url": "https://api.vendor.example/v1/oauth/token",
        "client_id_secret": "ID", "client_secret": "SECRET", "style": "form",
    });
    let token_url = Some("token_url");
    assert_complaints(
        &base,
        &[
            ("token_url", json!("http://127.0.0.1:8080/token?x=1"), None),
            ("token_url", json!("HTTPS://api.vendor.example"), None),
            ("token_url", json!(""), token_url),
            ("token_url", json!("/token"), token_url),
            ("token_url", json!("ftp://vendor.example/"), token_url),
            ("token_url", json!("https:///token"), token_url),
            ("token_url", json!("https://a b/"), token_url),
            ("token_url", json!("https://a.example/\n"), token_url),
            ("token_url", json!("https://é.example/"), token_url),
            ("token_url", json!("https://a.example/#x"), token_url),
            (
                "token_url",
                json!("https://u:p@a.example/"),
                Some("credentials"),
            ),
            ("token_url", json!(null), Some("invalid type")),
            ("client_id_secret", json!("my-id"), Some("by its name")),
            ("client_secret", json!("hush"), Some("by its name")),
            ("style", json!("basic"), None),
            ("style", json!("Form"), Some("unknown variant")),
            ("word", json!("O-Bearer"), None),
            ("word", json!(""), Some("word")),
            ("word", json!("a b"), Some("word")),
            ("word", json!("a\u{7f}"), Some("word")),
            ("scope", json!("read write"), None),
            ("scope", json!("a\nb"), Some("scope")),
            ("form", json!({"client_version": "1", "empty": ""}), None),
            ("form", json!({"client_version": 1}), Some("invalid type")),
            ("form", json!({"scope": "x"}), Some("form: it sets scope")),
            (
                "form",
                json!({"grant_type": "x"}),
                Some("form: it sets grant_type"),
            ),
            ("form", json!({"": "x"}), Some("form: of a name in it")),
            ("form", json!({"a": "x\u{0}"}), Some("form: of a")),
            ("secret", json!("A"), Some("unknown field")),
        ],
    );
}

#[test]
fn hmac() {
    let base = json!({
        "kind": "hmac", "secret": "KEY", "header": "X-Signature",
        "signs": "{timestamp}.{method}.{path}.{path_and_query}.{host}.{body}",
    });
    assert_complaints(
        &base,
        &[
            ("header", json!("Authorization"), None),
            ("header", json!("X Signature"), Some("not a header's name")),
            ("header", json!("Host"), Some("belongs to the transport")),
            ("algorithm", json!("sha256"), None),
            ("algorithm", json!("sha512"), None),
            ("algorithm", json!("md5"), Some("unknown variant")),
            ("encoding", json!("hex"), None),
            ("encoding", json!("base64"), None),
            ("encoding", json!("HEX"), Some("unknown variant")),
            ("signs", json!("{method}\n{path}\n}"), None),
            ("signs", json!("a fixed text"), None),
            ("signs", json!(""), Some("signs: it is empty")),
            ("signs", json!("{nonce}"), Some("signs: it names {nonce}")),
            ("signs", json!("{}"), Some("signs: it names {}")),
            ("signs", json!("{{path}}"), Some("signs: it names {{path}")),
            ("signs", json!("{path"), Some("not closed")),
            ("timestamp_header", json!("X-Time"), None),
            (
                "timestamp_header",
                json!("X:Time"),
                Some("not a header's name"),
            ),
            (
                "timestamp_header",
                json!("x-signature"),
                Some("the same header"),
            ),
            ("prefix", json!("HMAC-SHA256 Signature="), None),
            ("prefix", json!(""), None),
            ("prefix", json!("v1=\r\n"), Some("prefix")),
            ("key", json!("hush"), Some("unknown field")),
        ],
    );
}

#[test]
fn a_secret_written_by_mistake_is_not_repeated() {
    let complaint =
        auth_complaint(json!({"kind": "bearer", "secret": "sk_live_51"})).unwrap_or_default();
    assert!(!complaint.contains("sk_live"), "{complaint}");
}
