//! Texts that try to be more than data: in order numbers, details, reasons, and paths of a provider.

use anyhow::{Context, Result};
use reconcile_tests::cluster::Contents;

use crate::cluster;

const TEXTS: &[&str] = &[
    "%s %I %L %1$s %n %%",
    "' or true --",
    "'; drop table reconcile.tracked_orders; --",
    "\"; drop schema reconcile cascade; --",
    "$$ $1 $body$ :name :'name'",
    "\\ \\' \\x00 \\u0000 E'\\n'",
    "a\nb\r\n\tc\u{7f}",
    "../../etc/passwd?a=b&c=d#e",
    "\u{202e}drawkcab\u{2066}\u{feff}",
    "😀 ü e\u{301} 漢字",
    "{order_number}{?reference}",
    "null",
    " ",
];

#[tokio::test]
async fn hostile_texts_are_kept_as_they_are_and_do_nothing() -> Result<()> {
    let database = cluster()
        .await?
        .database("hostile_texts", Contents::Extension)
        .await?;
    let (owner, shop, dba) = (
        database.connect().await?,
        database.connect_as("shop").await?,
        database.connect_as("dba").await?,
    );
    dba.batch_execute("select reconcile.add_provider('vendor', 'https://v.example/{order_number}{?reference}', '{\"paid\": \"succeeded\"}')")
        .await?;
    for text in TEXTS {
        let details =
            serde_json::json!({ *text: [*text, { "nested": text.repeat(100) }] }).to_string();
        for new in [true, false] {
            let row = shop
                .query_one(
                    "select reconcile.track_order($1, 'vendor', $1, 5, 'USD', $2::text::jsonb)",
                    &[text, &details],
                )
                .await
                .with_context(|| format!("{text:?}"))?;
            assert_eq!(row.get::<_, bool>(0), new, "{text:?}");
        }
        let told: String = shop
            .query_one("select reconcile.explain_order($1)", &[text])
            .await?
            .get(0);
        assert_eq!(told.lines().count(), 5, "{told}");
        let shown: String = shop
            .query_one("select order_details($1, '0')::text", &[text])
            .await?
            .get(0);
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        assert_eq!(shown["order"]["order_number"], **text);
        assert_eq!(shown["payment"]["reference"], **text);
        assert_eq!(
            shown["order"]["details"].to_string(),
            serde_json::from_str::<serde_json::Value>(&details)?.to_string()
        );

        let reason = format!("because of {text}");
        dba.execute(
            "select reconcile.resolve_order($1, 'review', $2)",
            &[text, &reason],
        )
        .await?;
        dba.execute("select * from reconcile_order($1, '0')", &[text])
            .await?;
        let kept = owner
            .query_one(
                "select reason, changed_by from reconcile.order_history where order_number = $1",
                &[text],
            )
            .await?;
        assert_eq!((kept.get::<_, String>(0), kept.get(1)), (reason, "dba"));
        let told: String = shop
            .query_one("select reconcile.explain_order($1)", &[text])
            .await?
            .get(0);
        assert_eq!(told.lines().count(), 6, "{told}");
    }
    dba.execute(
        "select reconcile.pause_provider('vendor', $1)",
        &[&TEXTS.join("\n")],
    )
    .await?;
    dba.batch_execute("table reconcile.alerts; table reconcile.stuck_orders")
        .await?;
    let orders: i64 = owner
        .query_one("select count(*) from reconcile.orders", &[])
        .await?
        .get(0);
    assert_eq!(usize::try_from(orders)?, TEXTS.len());
    Ok(())
}

/// A path for the status, an answer, and what comes of it.
const PATHS: &[(&str, &str, &str)] = &[
    ("strict $.a.b[7].c", r#"{"a": 1}"#, "provider_error"),
    (
        "$.status.double()",
        r#"{"status": "paid"}"#,
        "provider_error",
    ),
    ("1 / $.x", r#"{"x": 0}"#, "provider_error"),
    (
        "$.x.datetime()",
        r#"{"x": "the day before"}"#,
        "provider_error",
    ),
    (
        "$.**.status",
        r#"{"a": {"b": [{"status": "paid"}]}}"#,
        "succeeded",
    ),
    (
        "$.x ? (@ like_regex \"^(a+)+$\")",
        r#"{"x": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}"#,
        "provider_error",
    ),
];

/// A path that PostgreSQL would fail on whatever is asked of it, so that it is refused.
const REFUSED: &str = "$ ? (@.at.datetime() < \"2020-01-01T00:00:00+00\".datetime()).status";

#[tokio::test]
async fn a_path_that_fails_closes_nothing_and_harms_no_other_order_of_the_batch() -> Result<()> {
    let database = cluster()
        .await?
        .database("hostile_paths", Contents::Extension)
        .await?;
    let dba = database.connect_as("dba").await?;
    let hand = database.connect_as("hand").await?;
    let mut bodies = vec![r#"{"status": "paid"}"#];
    dba.batch_execute("select reconcile.add_provider('sound', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}')").await?;
    dba.batch_execute(
        "select reconcile.track_order('ORD-0', 'sound', created_at => now() - interval '1 hour')",
    )
    .await?;
    for (place, (path, body, _)) in PATHS.iter().enumerate() {
        let provider = format!("vendor_{place}");
        dba.execute(
            "select reconcile.add_provider($1, 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}', status_path => $2::text::jsonpath)",
            &[&provider, path],
        )
        .await
        .with_context(|| path.to_string())?;
        dba.execute(
            "select reconcile.track_order($1, $2, created_at => now() - interval '1 hour')",
            &[&format!("ORD-{}", place + 1), &provider],
        )
        .await?;
        bodies.push(body);
    }
    let refused = dba
        .execute(
            "select reconcile.add_provider('refused', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}', status_path => $1::text::jsonpath)",
            &[&REFUSED],
        )
        .await
        .expect_err("a path that fails on an answer was taken");
    let refused = refused.as_db_error().context("no error of the database")?;
    assert_eq!(
        (refused.code().code(), refused.column()),
        ("RC003", Some("status_path"))
    );
    let id: i64 = hand
        .query_one("select reconcile.sidecar_start('by hand', '1', 100)", &[])
        .await?
        .get(0);
    let claimed = hand
        .query(
            "select order_id, token, substr(url, 23)::int from reconcile.sidecar_claim($1, 100) order by order_id",
            &[&id],
        )
        .await?;
    assert_eq!(claimed.len(), PATHS.len() + 1);
    let orders: Vec<i64> = claimed.iter().map(|row| row.get(0)).collect();
    let tokens: Vec<i64> = claimed.iter().map(|row| row.get(1)).collect();
    let answers: Vec<&str> = claimed
        .iter()
        .map(|row| bodies[row.get::<_, i32>(2).unsigned_abs() as usize])
        .collect();
    let left = hand
        .query(
            "select * from reconcile.sidecar_report($1, $2, $3, null, $4, $5, null, null, null)",
            &[&id, &orders, &tokens, &vec![200; orders.len()], &answers],
        )
        .await?;
    assert_eq!(left.len(), 0);

    let rows = dba
        .query("select c.outcome, o.state, o.next_check_at is not null
             from reconcile.orders as o join reconcile.checks as c using (order_number) order by order_number", &[])
        .await?;
    let expected = std::iter::once(("$.status", "", "succeeded")).chain(PATHS.iter().copied());
    for (row, (path, _, outcome)) in rows.iter().zip(expected) {
        assert_eq!(row.get::<_, &str>(0), outcome, "{path}");
        let (state, asked_again) = if outcome == "succeeded" {
            ("succeeded", false)
        } else {
            ("pending", true)
        };
        assert_eq!(
            (row.get::<_, &str>(1), row.get::<_, bool>(2)),
            (state, asked_again),
            "{path}"
        );
    }
    Ok(())
}
