//! Orders that can't be asked about, since a template has no value for them.

use anyhow::Result;
use reconcile_tests::shop::{Shop, refusal};

/// Proves that an order that lacks what a header or a body needs is refused when it is handed over; and that one which lacks it
/// since the provider changed is not asked about with a part left out: its check is a fault that says why.
#[tokio::test]
async fn what_cant_be_asked_is_not_sent_and_says_why() -> Result<()> {
    let shop = Shop::open("limits_unasked").await?;
    let url = shop.vendor.url("/orders/{order_number}");
    for (name, fields) in [
        ("by_header", r#"headers => '{"X-Ref": "{reference}"}'"#),
        (
            "by_body",
            r#"method => 'POST', body => '{"json": {"ref": "{reference}"}}'"#,
        ),
    ] {
        shop.run(&format!(
            "select reconcile.add_provider('{name}', '{url}', '{{\"succeeded\": \"succeeded\"}}', status_path => '$.data.status')"
        ))
        .await?;
        let track = |number: &str| {
            format!(
                "select reconcile.track_order('{number}', '{name}', created_at => now() - interval '1 hour')"
            )
        };
        shop.run(&track(name)).await?;
        shop.alter_provider(name, fields).await?;
        let refused = refusal(&shop.client, &track("LATER")).await?;
        assert_eq!(refused.code().code(), "RC005", "{refused}");
        assert!(
            refused
                .message()
                .contains(&format!("provider {name} asks by reference")),
            "{refused}"
        );
    }
    let _sidecar = shop.sidecar().await?;
    for (name, part) in [("by_header", "the header X-Ref"), ("by_body", "the body")] {
        let check = shop.next_check(name).await?;
        assert_eq!(check.fault.as_deref(), Some("bad_request"), "{name}");
        let detail = check.detail.unwrap_or_default();
        assert!(
            detail.starts_with(part) && detail.contains("{reference}"),
            "{name}: {detail}"
        );
        assert_eq!(shop.vendor.count(name), 0, "{name} was asked about");
    }
    shop.is_sound().await
}
