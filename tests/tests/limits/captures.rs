//! Captures: values of the answers that are kept on the order.

use anyhow::{Context, Result};
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Step};
use serde_json::{Value, json};

const CAPTURES: &str = r#"captures => '{
    "voucher": {"path": "$.data.voucher", "sensitive": true},
    "product": "$.data.productName",
    "lines": "$.data.lines[*] ? (@.kind == \"tax\").amount",
    "absent": "$.data.nothing"
}'"#;

const SEEN: &str = "select captured, orders::text from reconcile.orders";

fn said(status: &str, voucher: Option<&str>, product: &str) -> Step {
    let mut data = json!({
        "status": status, "invoiceId": "INV-A", "retailPrice": "0.73", "currency": "USD", "productName": product,
        "lines": [{"kind": "net", "amount": 0.60}, {"kind": "tax", "amount": 0.13}]
    });
    if let Some(voucher) = voucher {
        data["voucher"] = voucher.into();
    }
    Step::http(200, &json!({ "data": data }).to_string())
}

/// Proves that captured values are kept on the order, a later answer's over an earlier one's and
/// without losing what it does not repeat; that readers see sensitive ones masked; and that those are
/// nowhere in what is kept of the answers.
#[tokio::test]
async fn captures_are_kept_on_the_order_and_sensitive_ones_masked() -> Result<()> {
    let shop = Shop::open("limits_captures").await?;
    shop.alter_provider("vendor", CAPTURES).await?;
    let _sidecar = shop.sidecar().await?;
    let steps = [
        said("pending", Some("V-4711-SECRET"), "Honor of Knights"),
        said("succeeded", None, "Honor of Kings"),
    ];
    shop.vendor.set_fate("A", Fate::of(steps));
    shop.track("A").await?;
    shop.next_check("A").await?;
    shop.next_check("A").await?;
    let kept: Value = shop
        .one("select captured from reconcile.tracked_orders", &[])
        .await?;
    let expected = json!({"voucher": "V-4711-SECRET", "product": "Honor of Kings", "lines": 0.13});
    assert_eq!(kept, expected);
    let reader = shop.database.connect_as("shop_reader").await?;
    let seen = reader.query_one(SEEN, &[]).await?;
    let expected = json!({"voucher": "[redacted]", "product": "Honor of Kings", "lines": 0.13});
    assert_eq!(seen.get::<_, Value>(0), expected);
    let checks = "select string_agg(checks::text, '') from reconcile.checks";
    let checks: String = reader.query_one(checks, &[]).await?.get(0);
    for text in [seen.get(1), checks] {
        assert!(!text.contains("V-4711"), "{text}");
    }
    // What was sensitive once does not show when its capture is gone.
    shop.alter_provider(
        "vendor",
        r#"captures => '{"product": "$.data.productName"}'"#,
    )
    .await?;
    let seen: Value = reader.query_one(SEEN, &[]).await?.get(0);
    assert_eq!(seen["voucher"], "[redacted]");
    assert_eq!(seen["product"], "Honor of Kings");
    Ok(())
}

/// Proves that a sensitive capture is refused whose value could not be masked in the answer, since its
/// path does not end with the name of a member; and that filters and indexes before and after are fine.
#[tokio::test]
async fn a_sensitive_capture_has_to_end_with_a_name() -> Result<()> {
    let shop = Shop::open("limits_captures_paths").await?;
    let capture =
        |path: &str| format!(r#"captures => '{{"pin": {{"path": "{path}", "sensitive": true}}}}'"#);
    for path in [
        "$",
        "$.*",
        "$.pins[*] ? (@.kind == 1)",
        "$.pin.size()",
        "$.**",
    ] {
        let refused = shop.alter_provider("vendor", &capture(path)).await;
        let refused = format!("{:?}", refused.err().context(path.to_owned())?);
        assert!(
            refused.contains("captures: 'pin' is sensitive"),
            "{path}: {refused}"
        );
    }
    let kept = "select response::text from reconcile.preview_response('vendor', '{\"data\": [{\"kind\": 1, \"v.\\\"1\": [\"S-1\"]}]}')";
    for path in [
        r#"$.data[*] ? (@.kind == 1).\"v.\\\"1\""#,
        r#"strict $.data[0].\"v.\\\"1\"[*]"#,
    ] {
        shop.alter_provider("vendor", &capture(path)).await?;
        let kept: String = shop.one(kept, &[]).await?;
        assert!(
            kept.contains("[redacted]") && !kept.contains("S-1"),
            "{path}: {kept}"
        );
    }
    Ok(())
}
