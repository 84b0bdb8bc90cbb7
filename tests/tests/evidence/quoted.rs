//! What a remark quotes of an answer is masked before it is cut: no half of a secret stands in it.

use anyhow::Result;
use reconcile_tests::shop::Shop;

/// Each says how it is added, and of which answer a remark quotes the long text and then the secret.
const READ_BY: [(&str, &str); 3] = [
    (
        "status_path => '$.items[*].status'",
        r#"{"items": [{"status": "%LONG"}, {"status": "%SECRET"}]}"#,
    ),
    (
        "status_path => '$.status', refunded_path => '$.back[*]', amount_path => '$.amount'",
        r#"{"status": "paid", "amount": "1", "back": ["%LONG", "%SECRET"]}"#,
    ),
    (
        "status_path => '$.status', reference_path => '$.ref'",
        r#"{"status": "paid", "ref": "%LONG %SECRET"}"#,
    ),
];

/// Proves that of a card number no more than five digits in a row stand in any remark, wherever the text before it ends, and that of an object in a
/// status's place no member is quoted whose name says that it is a secret.
#[tokio::test]
async fn no_half_of_a_secret_is_quoted() -> Result<()> {
    let shop = Shop::open("evidence_quoted").await?;
    for (nr, (read_by, _)) in READ_BY.iter().enumerate() {
        shop.run(&format!(
            "select reconcile.add_provider('q{nr}', 'https://q.example/{{order_number}}', '{{\"paid\": \"succeeded\"}}', {read_by})"
        ))
        .await?;
    }
    for (nr, (_, answer)) in READ_BY.iter().enumerate() {
        for length in 0..205 {
            let answer = answer
                .replace("%LONG", &"x".repeat(length))
                .replace("%SECRET", "4111111111111111");
            let preview = format!(
                "select coalesce(message, '') || coalesce(provider_status, '') from reconcile.preview_response('q{nr}', '{answer}', reference => 'R', amount => 1)"
            );
            let said: String = shop.one(&preview, &[]).await?;
            assert!(!said.contains("411111"), "{length}: {said}");
        }
    }
    for length in [0, 150, 160, 170, 180] {
        let answer = format!(
            r#"{{"items": [{{"status": {{"a": "{}", "password": "hunter2hunter2hunter2"}}}}, {{"status": "paid"}}]}}"#,
            "x".repeat(length)
        );
        let preview = format!(
            "select coalesce(message, '') from reconcile.preview_response('q0', '{answer}')"
        );
        let said: String = shop.one(&preview, &[]).await?;
        assert!(!said.contains("hunt"), "{length}: {said}");
    }
    Ok(())
}
