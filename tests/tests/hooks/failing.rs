//! A hook that fails: what is recorded, when it is tried again, where it ends, and who else notices.

use anyhow::{Context, Result};
use reconcile_tests::shop::Till;

/// Raises what `shop.broken` says about the order.
const MAY_FAIL: &str = "
    declare
        v_broken record;
    begin
        select b.* into v_broken from shop.broken as b where b.number = order_number;
        if v_broken.code = 'P0004' then
            assert false, v_broken.message;
        elsif v_broken.code = 'null' then
            raise exception using message = null::text;
        elsif found then
            raise exception using errcode = v_broken.code, message = v_broken.message;
        end if;
        insert into shop.told values (order_number, facts ->> 'state');
    end";

pub(crate) async fn open(name: &'static str) -> Result<Till> {
    let till = Till::open(name).await?;
    till.does("create table shop.broken (number text primary key, code text, message text)")
        .await?;
    till.hook("may_fail", "succeeded", MAY_FAIL).await?;
    Ok(till)
}

/// Proves that whatever a hook raises, an assertion, a cancellation by its own word, an internal error or one that says the server is
/// out of space, costs its own order a retry, recorded with SQLSTATE and message, and that all other orders of the batch are settled in
/// the same run. Locks and serialization are waited out and not counted.
#[tokio::test]
async fn whatever_a_hook_raises_costs_its_own_order_only() -> Result<()> {
    let till = open("hooks_raises").await?;
    let raised = [
        ("P0001", "out of stock"),
        ("P0004", "an assertion"),
        ("57014", "cancelled by hand"),
        ("53100", "no space, it says"),
        ("58030", "no disk, it says"),
        ("XX000", "internal"),
        ("22012", "division by zero"),
        ("RC013", "the application decided, it says"),
        ("40001", "could not serialize"),
        ("40P01", "deadlock"),
        ("55P03", "no lock"),
    ];
    let mut numbers = vec![];
    for (place, (code, message)) in raised.iter().enumerate() {
        let number = format!("A{place:02}");
        till.owner
            .execute(
                "insert into shop.broken values ($1, $2, $3)",
                &[&number, code, message],
            )
            .await?;
        numbers.extend([number, format!("B{place:02}")]);
    }
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    till.sells("paid", &numbers).await?;
    assert_eq!(till.settles().await?, 11, "{:?}", till.states().await?);
    for (place, (code, message)) in raised.iter().enumerate() {
        let (bad, good) = (format!("A{place:02}"), format!("B{place:02}"));
        assert_eq!(till.order(&good).await?.state, "succeeded", "beside {code}");
        let order = till.order(&bad).await?;
        assert_eq!(
            (order.state.as_str(), order.tries, order.faults),
            ("pending", 0, 0),
            "{code}"
        );
        let waits = matches!(*code, "40001" | "40P01" | "55P03");
        let expected = (
            i32::from(!waits),
            i32::from(waits),
            (*code).to_owned(),
            (*message).to_owned(),
        );
        assert_eq!(till.failure(&bad).await?, Some(expected));
        let next = order.next_check_s.context("it is not asked again")?;
        let within = if waits { 1.0..2.3 } else { 4.0..5.6 };
        assert!(within.contains(&next), "{code}: in {next} s");
        let checks = till.checks(&bad).await?;
        assert_eq!(checks.len(), 1, "{checks:?}");
        assert_eq!(
            checks[0].reason,
            "what follows from succeeded could not be done, so nothing changed"
        );
        let problem = "select problem from reconcile.recorded_checks join reconcile.tracked_orders using (order_id) where order_number = $1";
        assert_eq!(
            till.one::<String>(problem, &[&bad]).await?,
            format!("{code}: {message}")
        );
    }
    assert_eq!(till.told().await?.len(), 11);
    till.is_sound().await
}

/// Proves that an error without a message is a failure like any other.
#[tokio::test]
async fn a_hook_may_fail_without_a_word() -> Result<()> {
    let till = open("hooks_wordless").await?;
    till.does("insert into shop.broken values ('A', 'null', null)")
        .await?;
    till.sells("paid", &["A"]).await?;
    assert_eq!(till.settles().await?, 0);
    let (failures, _, code, _) = till.failure("A").await?.context("nothing was recorded")?;
    assert_eq!((failures, code.as_str()), (1, "22004"));
    till.is_sound().await
}

/// Proves that a failing hook is tried again after 5 seconds, 10, 20 and so on up to ten minutes, that the order goes to review after
/// settings.effect_tries with the last message for a person to read, is asked no more, and that a person's decision ends the failure.
#[tokio::test]
async fn delays_grow_and_the_end_is_review() -> Result<()> {
    let till = open("hooks_delays").await?;
    till.does("insert into shop.broken values ('A', 'P0001', 'out of stock')")
        .await?;
    till.sells("paid", &["A"]).await?;
    let mut expected = 5.0;
    for nth in 0..9 {
        till.settles_all().await?;
        let check = till.check("A", nth).await?;
        let delay = check.next_check_s.context("it is not asked again")?;
        assert!(
            (expected..=expected * 1.11).contains(&delay),
            "try {nth}: {delay} s"
        );
        assert_eq!(till.order("A").await?.state, "pending");
        expected = f64::min(expected * 2.0, 600.0);
    }
    assert_eq!(till.settles_all().await?, 1);
    let order = till.order("A").await?;
    assert_eq!((order.state.as_str(), order.next_check_s), ("review", None));
    assert_eq!(till.history("A").await?, ["pending -> review by provider"]);
    let failure = till.failure("A").await?.context("nothing was recorded")?;
    assert_eq!((failure.0, failure.3.as_str()), (10, "out of stock"));
    let why = "select why from reconcile.stuck_orders where order_number = 'A'";
    let why: String = till.one(why, &[]).await?;
    assert!(why.ends_with("failed: out of stock"), "{why}");
    let story: String = till.one("select reconcile.explain_order('A')", &[]).await?;
    assert!(story.contains("out of stock"), "{story}");

    till.does("delete from shop.broken; select reconcile.resolve_order('A', 'succeeded', 'the stock has come')")
        .await?;
    assert_eq!(till.told().await?, ["A succeeded"]);
    assert_eq!(till.failure("A").await?, None);
    till.is_sound().await
}
