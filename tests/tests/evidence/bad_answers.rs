//! Every way in which an answer can be bad: each is recorded with the outcome that it is and a detail
//! that tells, leaves the order open and asked about again, and costs nothing once the provider has
//! recovered.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Answer, Fate, Reply, Step};
use serde_json::json;

/// What is expected of a bad answer.
struct Bad {
    step: Step,
    outcome: &'static str,
    fault: Option<&'static str>,
    http_status: Option<i32>,
    /// Part of the detail, in any letter case.
    detail: &'static str,
}

impl Bad {
    fn with_status(mut self, status: i32) -> Self {
        self.http_status = Some(status);
        self
    }
}

/// The bad step, and success after it.
async fn is_recorded_and_recovers(shop: &Shop<'_>, place: usize, bad: Bad) -> Result<()> {
    let Bad {
        step,
        outcome,
        fault,
        http_status,
        detail,
    } = bad;
    let number: String = format!("{place} {:?}", step.reply)
        .chars()
        .take(60)
        .collect();
    shop.vendor
        .set_fate(&number, Fate::of([step, Step::status("succeeded")]));
    shop.track(&number).await?;
    let check = shop.next_check(&number).await?;
    assert_eq!(check.outcome, outcome, "{number}: {check:?}");
    assert_eq!(check.fault.as_deref(), fault, "{number}: {check:?}");
    assert_eq!(check.http_status, http_status, "{number}: {check:?}");
    let told = check.detail.clone().unwrap_or_default().to_lowercase();
    assert!(told.contains(detail), "{number}: {check:?}");
    let order = shop.order(&number).await?;
    assert_eq!(
        (order.state.as_str(), order.last_outcome.as_deref()),
        ("pending", Some(outcome))
    );
    assert!(
        order.next_check_s.is_some_and(|s| s > 0.0),
        "{number}: {order:?}"
    );
    assert_eq!(
        shop.next_check(&number).await?.to_state,
        "succeeded",
        "{number}"
    );
    assert_eq!(
        shop.history(&number).await?,
        ["pending -> succeeded by provider"],
        "{number}"
    );
    assert_eq!(shop.vendor.count(&number), 2, "{number}");
    Ok(())
}

async fn all(name: &'static str, cases: Vec<Bad>) -> Result<()> {
    all_of(&Shop::open(name).await?, cases).await
}

async fn all_of(shop: &Shop<'_>, cases: Vec<Bad>) -> Result<()> {
    let sidecar = shop.sidecar().await?;
    for (place, bad) in cases.into_iter().enumerate() {
        is_recorded_and_recovers(shop, place, bad).await?;
    }
    assert_eq!(sidecar.process().exit_code()?, None);
    shop.is_sound().await
}

/// Three hundred digits: no amount of money, and no word.
fn unkept_number() -> Reply {
    Reply::Answer(Answer {
        status: json!(1e300),
        ..Answer::default()
    })
}

/// Proves it of bodies that are too large, empty, no text or no JSON.
#[tokio::test]
async fn bodies_that_cannot_be_read() -> Result<()> {
    let unread = |reply: Reply, fault, detail| Bad {
        step: reply.into(),
        outcome: "provider_error",
        fault,
        http_status: Some(200),
        detail,
    };
    let large = |bytes, declared| Reply::Large { bytes, declared };
    let (too_large, not_text) = (Some("too_large"), Some("not_text"));
    all(
        "bodies_that_cannot_be_read",
        vec![
            unread(large(50 << 20, true), too_large, "longer than 262144 bytes"),
            unread(
                large(50 << 20, false),
                too_large,
                "longer than 262144 bytes",
            ),
            unread(
                large((256 << 10) + 1, false),
                too_large,
                "longer than 262144 bytes",
            ),
            unread(
                Reply::GzipBomb(50 << 20),
                too_large,
                "longer than 262144 bytes",
            ),
            unread(Reply::Empty, None, "the answer is empty"),
            unread(Reply::NotUtf8, not_text, "isn't utf-8"),
            unread(Reply::RawNul, not_text, "nul byte"),
            unread(Reply::NotJson, None, "not json"),
            unread(Reply::EscapedNul, None, "not json that can be kept"),
            unread(Reply::HugeNumber, None, "not json that can be kept"),
            unread(unkept_number(), None, "not json that can be kept"),
            unread(Reply::Deep(100_000), None, "not json that can be kept"),
            unread(Reply::LengthTooShort, None, "not json"),
        ],
    )
    .await
}

/// Proves it of JSON that has no word where the status should be.
#[tokio::test]
async fn answers_without_a_word() -> Result<()> {
    let wordless = |step: Step, detail| Bad {
        step,
        outcome: "provider_error",
        fault: None,
        http_status: Some(200),
        detail,
    };
    all(
        "answers_without_a_word",
        vec![
            wordless(
                Reply::WithoutPath.into(),
                r#"has nothing at $."data"."status""#,
            ),
            wordless(
                Step::status(json!({"code": "succeeded"})),
                "the status is object",
            ),
            wordless(Step::status(json!(["succeeded"])), "the status is array"),
            wordless(Step::status(json!(null)), "the status is null"),
            wordless(Step::http(200, "[]"), "has nothing at"),
            wordless(Step::http(200, "\"succeeded\""), "has nothing at"),
            wordless(Step::http(200, "null"), "has nothing at"),
            wordless(
                Step::http(200, r#"{"data": "succeeded"}"#),
                "has nothing at",
            ),
            wordless(
                Step::http(200, r#"{"data": {"status": "succeeded"}"#),
                "not json",
            ),
            wordless(
                Step::http(200, r#"{"data": {"status": "succeeded"}} {}"#),
                "not json",
            ),
            wordless(Step::http(204, ""), "the answer is empty").with_status(204),
        ],
    )
    .await
}

/// Proves it of a status that is a word of another kind: a number, a truth value, a very long word.
#[tokio::test]
async fn answers_with_a_strange_word() -> Result<()> {
    let strange = |status: serde_json::Value, detail| Bad {
        step: Step::status(status),
        outcome: "unknown_status",
        fault: None,
        http_status: Some(200),
        detail,
    };
    all(
        "answers_with_a_strange_word",
        vec![
            strange(json!(7), "does not have '7'"),
            strange(json!(1.50), "does not have '1.5'"),
            strange(json!(false), "does not have 'false'"),
            strange(
                json!("'; drop table orders; --"),
                "does not have '''; drop table",
            ),
            strange(json!("x".repeat(100_000)), "does not have 'xxxxx"),
            strange(json!("line\nbreak\u{202e}"), "does not have"),
        ],
    )
    .await
}

/// Proves it of answers that break off, lie about their length, or are no HTTP.
#[tokio::test]
async fn connections_that_break() -> Result<()> {
    let broken = |reply: Reply, http_status: Option<i32>| Bad {
        step: reply.into(),
        outcome: if http_status.is_some() {
            "provider_error"
        } else {
            "unreachable"
        },
        fault: Some("broken"),
        http_status,
        detail: "",
    };
    all(
        "connections_that_break",
        vec![
            broken(Reply::LengthTooLong, Some(200)),
            broken(Reply::CloseInBody, Some(200)),
            broken(Reply::ResetInBody, Some(200)),
            broken(Reply::CloseBefore, None),
            broken(Reply::ResetBefore, None),
            broken(Reply::CloseInHead, None),
            broken(Reply::BadStatusLine, None),
        ],
    )
    .await
}

/// Proves it of answers that do not come in time, or not to their end.
#[tokio::test]
async fn answers_that_take_for_ever() -> Result<()> {
    let late = |step: Step, http_status, detail| Bad {
        step,
        outcome: "unreachable",
        fault: Some("timeout"),
        http_status,
        detail,
    };
    let shop = Shop::open("answers_that_take_for_ever").await?;
    shop.alter_provider("vendor", "timeout => '1 second'")
        .await?;
    all_of(
        &shop,
        vec![
            late(Reply::Hang.into(), None, "no answer in time"),
            late(Reply::HangInBody.into(), Some(200), "took too long"),
            late(Reply::Drip(100).into(), None, "no answer in time"),
            late(
                Step::status("succeeded").after_ms(60_000),
                None,
                "no answer in time",
            ),
        ],
    )
    .await
}

/// Proves that HTTP statuses that are no answer tell themselves by their number, and redirects too.
#[tokio::test]
async fn statuses_that_are_no_answer() -> Result<()> {
    let status = |step: Step, http_status, outcome| Bad {
        step,
        outcome,
        fault: None,
        http_status: Some(http_status),
        detail: "",
    };
    all(
        "statuses_that_are_no_answer",
        vec![
            status(
                Step::http(302, "").header("Location", "http://169.254.169.254/"),
                302,
                "provider_error",
            ),
            status(Step::http(500, "<html>oops</html>"), 500, "provider_error"),
            status(Step::http(418, "{}"), 418, "provider_error"),
            status(Step::http(999, ""), 999, "provider_error"),
        ],
    )
    .await
}
