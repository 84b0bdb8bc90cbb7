//! The long form: random SQL as every role against a server of its own. Nothing that it says may end the server, raise an internal error,
//! or change what its role may not change.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::Cluster;
use tokio::process::Command;
use tokio_postgres::Client;

use crate::scene::{ROLES, Scene, run};

/// Who says it, and of how many parts of the time.
const SAYERS: [&str; 6] = [
    "shop_app",
    "shop_operator",
    "shop_sidecar",
    "shop_reader",
    "carrier_owner",
    "carrier_stranger",
];

/// What sqlsmith is known to find in PostgreSQL itself, or does to itself: no word about this project. As expressions, each with why.
const KNOWN: [(&str, &str); 6] = [
    (
        "failed to find conversion function from unknown to",
        "a literal without a type in a set operation",
    ),
    (
        "invalid [A-Za-z]* ?typmod",
        "a type's output function that is given a number by chance",
    ),
    ("canceling statement", "its own time is over"),
    ("stack depth limit exceeded", "its statements are deep"),
    (
        "cache lookup failed for (function|type|relation|operator) 0",
        "catalog functions that are given a number by chance",
    ),
    (
        "unexpected (relkind|classid|object class)|unsupported object class|invalid attribute number|could not find tuple for",
        "the same",
    ),
];

/// What nobody of them may change: what was done, by whom, and who may do what.
const KEPT: &str = "
    select md5(string_agg(line, E'\\n' order by line)) from (
        select 'function ' || p.oid::regprocedure::text || pg_get_userbyid(p.proowner) || coalesce(p.proacl::text, '') || coalesce(p.proconfig::text, '') || md5(p.prosrc) as line
        from pg_proc as p where p.pronamespace::regnamespace::text ~ '^reconcile' or p.proname ~ '^(reconcile_|order_details)'
        union all
        select 'relation ' || c.oid::regclass::text || pg_get_userbyid(c.relowner) || coalesce(c.relacl::text, '')
        from pg_class as c where c.relnamespace::regnamespace::text ~ '^reconcile'
        union all
        select 'role ' || r.rolname || r.rolsuper || r.rolcreaterole || r.rolcanlogin from pg_roles as r where r.rolname !~ '^pg_'
        union all
        select 'member ' || m.roleid::regrole || m.member::regrole from pg_auth_members as m
        union all
        select 'check ' || c.order_id || ' ' || c.check_id || md5(c::text) from reconcile.recorded_checks as c where c.check_id <= 1000
        union all
        select 'secret ' || md5(s::text) from kept.secrets as s
    ) as kept";

/// A superuser's own table, which has nothing to do with any of it.
const SECRETS: &str =
    "create schema kept; create table kept.secrets as select 'nobody''s business' as secret";

async fn digest(client: &Client) -> Result<String> {
    Ok(client.query_one(KEPT, &[]).await?.get(0))
}

/// Lets sqlsmith speak as a role for so long, in a transaction of its own each time; how much it has said.
async fn speak(
    cluster: &Cluster,
    database: &str,
    role: &str,
    seconds: u64,
    seed: u64,
) -> Result<()> {
    let target = format!(
        "host=127.0.0.1 port={} dbname={database} user={role} options='-c statement_timeout=2s'",
        cluster.port()
    );
    let mut smith = Command::new("sqlsmith");
    let mut smith = smith
        .args([
            &format!("--target={target}"),
            &format!("--seed={seed}"),
            "--max-queries=20000",
            "--verbose",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("sqlsmith could not be started: is it installed?")?;
    match tokio::time::timeout(Duration::from_secs(seconds), smith.wait()).await {
        Ok(ended) => drop(ended?),
        Err(_) => smith.kill().await?,
    }
    Ok(())
}

/// Internal errors and crashes in what the server has written since.
async fn complaints(client: &Client, log: &str) -> Result<Vec<String>> {
    let mut wrong = BTreeSet::new();
    for line in log.lines() {
        let crash = line.contains("PANIC:")
            || line.contains("was terminated by signal")
            || line.contains("TRAP:");
        if !crash && !line.contains("XX000") && !line.contains("XX001") && !line.contains("XX002") {
            continue;
        }
        let mut known = false;
        for (expression, _) in KNOWN {
            known |= client
                .query_one("select $1 ~ $2", &[&line, &expression])
                .await?
                .get::<_, bool>(0);
        }
        if !known || crash {
            // Without when and by which process.
            wrong.insert(line.split_once("] ").map_or(line, |rest| rest.1).to_owned());
        }
    }
    Ok(wrong.into_iter().collect())
}

/// Proves that random SQL, as the application, an operator, a sidecar, a reader, an owner of attached code and a stranger, crashes nothing,
/// meets no internal error, and changes no function, no right, no role, nothing of the audit and nothing of a superuser's. `SCALE` says
/// how many times 25 seconds each of them has.
#[tokio::test]
#[ignore = "three minutes: make hostile"]
async fn random_sql_of_every_role_does_no_harm() -> Result<()> {
    let scale: u64 = std::env::var("SCALE")
        .ok()
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(1);
    let settings = reconcile_tests::shop::settings()
        .parameter("log_error_verbosity", "verbose")
        .parameter("log_min_messages", "error")
        .parameter("log_min_error_statement", "panic")
        .parameter("restart_after_crash", "off")
        .parameter("jit", "off");
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start_new(settings).await?));
    let scene = Scene::open_in(cluster, "fuzzed", Some(ROLES), "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(&scene.dba, SECRETS).await?;
    run(
        &scene.dba,
        "select reconcile.track_order(p || n, p, reference => 'R' || n, created_at => now() - interval '1 hour')
         from generate_series(1, 30) as n, unnest('{vendor,by_table,by_function}'::text[]) as p;
         select * from reconcile_stale_orders(1000)",
    )
    .await?;
    run(&scene.owner, "insert into carrier.orders (number, status) select 'T' || n, 'processing' from generate_series(1, 50) as n").await?;
    let before = digest(&scene.dba).await?;
    for (nth, role) in (0u64..).zip(SAYERS) {
        speak(cluster, "fuzzed", role, 25 * scale, 4711 + nth).await?;
        ensure!(
            cluster.is_running()?,
            "the server is gone after {role}:\n{}",
            last(&cluster.log()?)
        );
        ensure!(
            digest(&scene.dba).await? == before,
            "{role} has changed what it may not"
        );
    }
    let wrong = complaints(&scene.dba, &cluster.log()?).await?;
    ensure!(wrong.is_empty(), "internal errors:\n{}", wrong.join("\n"));
    let said = cluster
        .log()?
        .lines()
        .filter(|line| line.contains("ERROR:"))
        .count();
    ensure!(
        said > 100,
        "sqlsmith has said next to nothing: {said} errors"
    );
    println!("{said} statements were refused, and none of them harmfully");
    Ok(())
}

fn last(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
