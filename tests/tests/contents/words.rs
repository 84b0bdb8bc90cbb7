//! Closed sets are written down twice, in SQL and in Rust: the words must be the same.

use anyhow::{Context, Result};
use reconcile_contract::verdict::{DeliveryVerdict, Verdict};
use reconcile_tests::cluster::Contents;
use tokio_postgres::Client;

use crate::cluster;

async fn connect(database: &'static str) -> Result<Client> {
    cluster()
        .await?
        .database(database, Contents::Extension)
        .await?
        .connect()
        .await
}

/// The words of a CHECK constraint, sorted.
async fn allowed(client: &Client, table: &str, constraint: &str) -> Result<Vec<String>> {
    let row = client
        .query_one(
            "select array(select found[1]
                 from regexp_matches(pg_get_constraintdef(c.oid), '''([a-z_]+)''::text', 'g') as found order by 1)
             from pg_constraint as c where c.conrelid = $1::text::regclass and c.conname = $2",
            &[&table, &constraint],
        )
        .await
        .with_context(|| format!("{table} has no {constraint}"))?;
    Ok(row.get(0))
}

/// Asks the judge to decide with one word replaced.
async fn decide(client: &Client, argument: &str, word: &str) -> Result<i32, tokio_postgres::Error> {
    let of = |name: &str, usual: &'static str| {
        if name == argument {
            word.to_owned()
        } else {
            usual.to_owned()
        }
    };
    let settled_by = (argument == "settled_by").then_some(word);
    client
        .query_one(
            "select next_faults from reconcile.decide($1, $2, 0, 0, 0, 0, 0, 'ORD-1', $3, null, '1m', null, null, 0, $4, $5, $6, 'none', 'none')",
            &[
                &of("state", "pending"),
                &settled_by,
                &of("outcome", "pending"),
                &of("not_found_as", "pending"),
                &of("gives_up_as", "review"),
                &of("late_success", "review"),
            ],
        )
        .await
        .map(|row| row.get(0))
}

/// The judge's words for an argument, by its complaint about a word that is none of them; sorted, and each of them tried.
async fn judged(client: &Client, argument: &str) -> Result<Vec<String>> {
    let error = decide(client, argument, "no such word").await.err();
    let error = error.with_context(|| format!("any {argument} would do"))?;
    let message = error
        .as_db_error()
        .context("not the judge's word")?
        .message()
        .to_owned();
    let words = message.split_once("use one of ").context("no words")?.1;
    let mut words: Vec<String> = words.split(", ").map(str::to_owned).collect();
    words.sort();
    for word in &words {
        decide(client, argument, word).await?;
    }
    Ok(words)
}

#[tokio::test]
async fn states_of_the_table_are_the_judges_states() -> Result<()> {
    let client = connect("words_states").await?;
    let states = judged(&client, "state").await?;
    assert_eq!(states.len(), 7);
    assert_eq!(
        allowed(
            &client,
            "reconcile.tracked_orders",
            "tracked_orders_state_check"
        )
        .await?,
        states
    );
    // A person can put an order into each of them.
    client
        .batch_execute(
            "select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}');
             select reconcile.track_order('ORD-1', 'vendor');
             select reconcile.resolve_order('ORD-1', 'review', 'to begin with')",
        )
        .await?;
    for state in states
        .iter()
        .filter(|state| *state != "review")
        .chain([&"review".to_owned()])
    {
        client
            .execute(
                "select reconcile.resolve_order('ORD-1', $1, 'each in turn')",
                &[state],
            )
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_settles_an_order_is_the_same_in_both_tables_and_for_the_judge() -> Result<()> {
    let client = connect("words_settled_by").await?;
    let settled_by = judged(&client, "settled_by").await?;
    assert_eq!(settled_by.len(), 4);
    assert_eq!(
        allowed(
            &client,
            "reconcile.tracked_orders",
            "tracked_orders_settled_by_check"
        )
        .await?,
        settled_by
    );
    assert_eq!(
        allowed(&client, "reconcile.transitions", "transitions_cause_check").await?,
        settled_by
    );
    Ok(())
}

#[tokio::test]
async fn endings_and_policies_that_the_judge_knows_can_be_written_to_a_provider() -> Result<()> {
    let client = connect("words_endings").await?;
    client
        .batch_execute("select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}')")
        .await?;
    for (argument, but) in [
        ("not_found_as", ""),
        ("gives_up_as", "pending"),
        ("late_success", ""),
    ] {
        for word in judged(&client, argument).await? {
            let written = client
                .execute(
                    &format!("select reconcile.alter_provider('vendor', {argument} => '{word}')"),
                    &[],
                )
                .await;
            assert_eq!(written.is_ok(), word != but, "{argument} => {word}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_outcome_counts_as_a_fault_for_the_ledger_when_it_does_for_the_judge() -> Result<()> {
    let client = connect("words_faults").await?;
    client
        .batch_execute("select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}')")
        .await?;
    let outcomes = judged(&client, "outcome").await?;
    assert_eq!(outcomes.len(), 12);
    for outcome in outcomes {
        let for_the_judge = decide(&client, "outcome", &outcome).await?;
        client
            .batch_execute(&format!(
                "delete from reconcile.ended_calls;
                 select reconcile_internal._note_ended_calls(array[provider_id], now(), '{{{outcome}}}', '{{x}}') from reconcile.providers"
            ))
            .await?;
        let counted = client
            .query_one("select faults from reconcile.ended_calls", &[])
            .await?;
        assert_eq!(counted.get::<_, i32>(0), for_the_judge, "{outcome}");
    }
    Ok(())
}

/// Proves that what is tried again, and what is granted, is asked for by names that the judge has, and that none stands there for nothing:
/// a misspelled one would come to light when something has failed already.
#[tokio::test]
async fn backoffs_and_bounds_are_asked_for_by_their_names() -> Result<()> {
    let client = connect("words_retries").await?;
    // A check's own backoff, and its bound, are a part of `decide`.
    for (function, rest, decided) in [
        ("backoff_ms", ", 0, 'A'", Some("check")),
        ("granted_ms", ", 0", None),
    ] {
        let used: Vec<String> = client
            .query_one(
                "select array(select distinct found[1] from pg_proc as p
                     cross join lateral regexp_matches(p.prosrc, $1 || '\\(''(\\w+)''', 'g') as found
                     where p.pronamespace::regnamespace::text like 'reconcile%' order by 1)",
                &[&format!("reconcile_internal\\.{function}")],
            )
            .await?
            .get(0);
        let ask = format!("select reconcile_internal.{function}($1{rest})");
        let refused = client.query_one(&ask, &[&"no such name"]).await.err();
        let message = refused
            .as_ref()
            .and_then(tokio_postgres::Error::as_db_error)
            .context("any name would do")?
            .message()
            .to_owned();
        let names = message.split_once("use one of ").context("no names")?.1;
        let mut names: Vec<&str> = names
            .split(", ")
            .filter(|name| Some(*name) != decided)
            .collect();
        names.sort_unstable();
        assert_eq!(used, names, "{function}");
    }
    Ok(())
}

/// Proves that the protocol's functions answer the words that a sidecar reads, each of them and no other.
#[tokio::test]
async fn verdicts_are_those_that_the_sidecar_reads() -> Result<()> {
    let client = connect("words_verdicts").await?;
    for (function, column, mut words) in [
        (
            "sidecar_report",
            "(?:then|else)",
            Verdict::ALL.iter().map(|it| it.word()).collect::<Vec<_>>(),
        ),
        (
            "sidecar_report_deliveries",
            "(?:then|else|verdict,)",
            DeliveryVerdict::ALL.iter().map(|it| it.word()).collect(),
        ),
    ] {
        words.sort_unstable();
        let said: Vec<String> = client
            .query_one(
                "select array(select distinct found[1] from pg_proc as p
                     cross join lateral regexp_matches(p.prosrc, $2 || ' ''([a-z_]+)''', 'g') as found
                     where p.proname = $1 order by 1)",
                &[&function, &column],
            )
            .await?
            .get(0);
        assert_eq!(said, words, "{function}");
    }
    Ok(())
}
