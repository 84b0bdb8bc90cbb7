//! The checksum against another implementation, and by taking it apart again.

use cbc::{Decryptor, cipher::BlockModeDecrypt};

use super::*;
use crate::call::fault::Fault;

const KEY: &str = "0123456789abcdef";

fn paytm() -> Paytm {
    Paytm {
        secret: "KEY".to_owned().try_into().unwrap(),
    }
}

fn signed(message: &str) -> Result<String, CallError> {
    let signed = super::signed(&paytm(), message.as_bytes(), &KEY.into(), "aB3d");
    signed.map(|(message, _)| message)
}

/// Takes a checksum apart, as Paytm does: gives the hash and the salt.
fn opened(signature: &str) -> (String, String) {
    let cipher = Decryptor::<Aes128>::new_from_slices(KEY.as_bytes(), VECTOR).unwrap();
    let plain = cipher
        .decrypt_padded_vec::<Pkcs7>(&BASE64_STANDARD.decode(signature).unwrap())
        .unwrap();
    let mut hash = String::from_utf8(plain).unwrap();
    let salt = hash.split_off(hash.len() - SALT_CHARS);
    (hash, salt)
}

/// The expected checksum is what OpenSSL's command line makes of it:
///
/// ```sh
/// body='{"mid": "M1", "orderId":"ORD-1"}'; salt=aB3d; key=0123456789abcdef
/// hash=$(printf '%s' "$body|$salt" | openssl dgst -sha256 -r | cut -d' ' -f1)
/// printf '%s%s' "$hash" "$salt" | openssl enc -aes-128-cbc -base64 -A \
///   -K $(printf %s "$key" | xxd -p) -iv $(printf '@@@@&&&&####$$$$' | xxd -p)
/// ```
#[test]
fn the_checksum_is_the_one_that_openssl_computes() {
    assert_eq!(
        signed(r#"{ "head": {"version":"v1"}, "body": {"mid": "M1", "orderId":"ORD-1"} }"#)
            .unwrap(),
        concat!(
            r#"{"body":{"mid": "M1", "orderId":"ORD-1"},"head":{"signature":""#,
            "anThH9gdXf7+ZwdE80bGDSxSZKG2s6XlHMJDCldZpfRYmBjFvl0jaEFHLH1yS8KwOsEDfpL3P7p2JkwH7t8V1LKoE+bkiMIOJG6LVngOblE=",
            r#"","version":"v1"}}"#
        )
    );
}

#[test]
fn the_checksum_covers_the_body_as_it_is_sent() {
    // Numbers, blanks, escapes and the order of members would change if the body were read.
    let body = "{\n \"z\":1.0, \"a\" :\"\\u00e9/é\", \"amount\":100.00}";
    let sent = signed(&format!(
        "{{\"body\":{body},\"head\":{{\"signature\":\"old\"}}}}"
    ))
    .unwrap();
    assert!(sent.contains(body), "{sent}");
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let (hash, salt) = opened(sent["head"]["signature"].as_str().unwrap());
    assert_eq!(salt, "aB3d");
    assert_eq!(hash, hex::encode(Sha256::digest(format!("{body}|aB3d"))));
}

#[test]
fn what_is_no_message_of_paytm_is_refused() {
    for message in [
        "",
        "{}",
        "[]",
        r#"{"body":"text","head":{}}"#,
        r#"{"body":{},"head":[]}"#,
        r#"{"body":{},"head":{},"more":1}"#,
        r#"{"body":{}}{}"#,
    ] {
        assert_eq!(
            signed(message).unwrap_err().fault,
            Fault::BadRequest,
            "{message}"
        );
    }
    assert!(signed(r#"{"body":{}}"#).is_ok());
}

#[test]
fn a_key_of_another_length_is_refused_by_its_name() {
    let error =
        super::signed(&paytm(), br#"{"body":{}}"#, &"hush-hush".into(), "aB3d").unwrap_err();
    assert_eq!(error.fault, Fault::BadRequest);
    assert!(error.detail.contains("KEY") && !error.detail.contains("hush"));
}
