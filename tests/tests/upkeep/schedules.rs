//! The schedules: where pg_cron lives, for another database, twice; and pg_cron really runs them.

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::cluster::{self, Contents};
use reconcile_tests::wait;
use tokio_postgres::Client;

use crate::{ROLES, SCHEDULES, STRICT, cluster};

/// The jobs for a database: name, schedule, command and where it runs.
async fn jobs(cron: &Client, database: &str) -> Result<Vec<[String; 4]>> {
    let rows = cron
        .query(
            "select jobname::text, schedule, command, database from cron.job
             where jobname ~ 'prune' or jobname ~ (' in ' || $1 || '$') order by jobname",
            &[&database],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| [0, 1, 2, 3].map(|place| row.get(place)))
        .collect())
}

fn expected(database: &str) -> Vec<[String; 4]> {
    [
        [
            "pg_reconcile housekeeping in %D",
            "17 * * * *",
            "select * from reconcile.housekeep()",
            "%D",
        ],
        [
            "pg_reconcile overlong sessions in %D",
            "*/2 * * * *",
            "select reconcile.end_overlong_sessions()",
            "%D",
        ],
        ["pg_reconcile prune cron log", "41 3 * * *", "", "postgres"],
        [
            "pg_reconcile stale orders in %D",
            "*/3 * * * *",
            "call reconcile.check_stale_orders()",
            "%D",
        ],
    ]
    .map(|job| job.map(|text| text.replace("%D", database)))
    .to_vec()
}

/// Without the text of the command that prunes: the run shows what it does.
fn without_pruning(mut jobs: Vec<[String; 4]>) -> Vec<[String; 4]> {
    for job in jobs.iter_mut().filter(|job| job[0].contains("prune")) {
        job[2].clear();
    }
    jobs
}

/// Waits until each job has run, none of which may fail.
async fn each_job_runs(cron: &Client) -> Result<()> {
    wait::until(Duration::from_secs(150), "pg_cron to run each job", async || {
        let done = cron
            .query_one(
                "select not exists (select from cron.job j where j.active and not exists (
                            select from cron.job_run_details d where d.jobid = j.jobid and d.status = 'succeeded'))
                     or exists (select from cron.job_run_details where status = 'failed' and database <> 'another')",
                &[],
            )
            .await;
        done.is_ok_and(|row| row.get(0))
    })
    .await?;
    let failed = cron
        // In the database without the extension one may have run before it was switched off.
        .query(
            "select command || ': ' || return_message from cron.job_run_details where status = 'failed' and database <> 'another'",
            &[],
        )
        .await?;
    assert_eq!(
        failed.iter().map(|row| row.get(0)).collect::<Vec<String>>(),
        [""; 0]
    );
    Ok(())
}

#[tokio::test]
async fn schedules_are_made_once_for_each_database_and_run_by_pg_cron() -> Result<()> {
    let cluster = cluster().await?;
    let home = cluster.existing("postgres");
    let cron = home.connect().await?;
    cron.batch_execute("create extension pg_reconcile").await?;
    home.psql(STRICT, ROLES).await?.ok()?;
    let shop = cluster.database("scheduled", Contents::Extension).await?;
    cluster.database("another", Contents::Nothing).await?;
    let for_shop = [STRICT, &["-v", "database=scheduled"]].concat();
    let elsewhere = [STRICT, &["-v", "database=another"]].concat();
    for _ in 0..2 {
        home.psql(STRICT, SCHEDULES).await?.ok()?;
        home.psql(&for_shop, SCHEDULES).await?.ok()?;
        home.psql(&elsewhere, SCHEDULES).await?.ok()?;
    }
    for database in ["postgres", "scheduled", "another"] {
        let jobs = without_pruning(jobs(&cron, database).await?);
        assert_eq!(jobs, expected(database));
    }
    let all = cron
        .query_one(
            "select count(*), array_agg(distinct username) from cron.job",
            &[],
        )
        .await?;
    assert_eq!(
        (all.get::<_, i64>(0), all.get(1)),
        (10, vec!["reconcile_cron"])
    );

    // A lease that ran out, a log from long ago, and nobody but pg_cron to see to it: each job in the next minute.
    let client = shop.connect().await?;
    client
        .batch_execute(
            "select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}');
             select reconcile.track_order('ORD-1', 'vendor', created_at => now() - interval '1 hour');
             select reconcile.sidecar_start('gone', '1', 1);
             select * from reconcile.sidecar_claim(1, 1);
             update reconcile.leases set expires_at = now() - interval '1 second'",
        )
        .await?;
    let old_run = |role: &str| {
        format!(
            "insert into cron.job_run_details (jobid, runid, command, username, status, start_time, end_time)
             values (0, nextval('cron.runid_seq'), 'select', '{role}', 'succeeded', now() - interval '8 days', now() - interval '8 days')"
        )
    };
    cron.batch_execute(&old_run("reconcile_cron")).await?;
    cron.batch_execute(&old_run("postgres")).await?;
    cron.batch_execute(
        "select cron.alter_job(jobid, active => false) from cron.job where jobname ~ 'another';
         select cron.alter_job(jobid, schedule => '* * * * *') from cron.job where jobname !~ 'another'",
    )
    .await?;
    each_job_runs(&cron).await?;

    let row = client
        .query_one(
            "select (select arguments ->> 'max_orders' from reconcile.runs order by run_id limit 1),
                 (select count(*) from reconcile.leases), (select count(*) from reconcile.due_checks)",
            &[],
        )
        .await?;
    assert_eq!(
        (
            row.get::<_, &str>(0),
            row.get::<_, i64>(1),
            row.get::<_, i64>(2)
        ),
        ("1000", 0, 1)
    );
    let kept = cron
        .query(
            "select username from cron.job_run_details where end_time < now() - interval '7 days'",
            &[],
        )
        .await?;
    assert_eq!(
        kept.iter().map(|row| row.get(0)).collect::<Vec<String>>(),
        ["postgres"]
    );
    Ok(())
}

/// Proves that a server which has not loaded pg_cron says so, and what would do, and not that it does not
/// know a setting.
#[tokio::test]
async fn a_server_without_pg_cron_is_told_what_to_do() -> Result<()> {
    let shared = cluster::shared().await?;
    let database = shared.database("no_cron", Contents::Extension).await?;
    let refused = database.psql(STRICT, SCHEDULES).await?;
    assert_eq!(refused.code, 3);
    for part in [
        "pg_cron is not loaded",
        "shared_preload_libraries",
        "restart",
    ] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    assert!(
        !refused.stderr.contains("unrecognized"),
        "{}",
        refused.stderr
    );
    Ok(())
}
