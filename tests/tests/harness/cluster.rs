//! The cluster: it starts, is shared, stops, is killed, recovers.

use anyhow::{Context, Result};
use reconcile_tests::cluster::{Cluster, Contents, Settings, Stop, shared};

#[tokio::test]
async fn a_database_is_reached_by_tcp_by_socket_and_by_psql() -> Result<()> {
    let database = shared()
        .await?
        .database("reached", Contents::Nothing)
        .await?;
    let client = database.connect().await?;
    let row = client
        .query_one(
            "select current_database()::text, current_setting('server_encoding')",
            &[],
        )
        .await?;
    assert_eq!((row.get(0), row.get(1)), ("reached", "UTF8"));

    let socket = database.socket_url();
    let query = "select inet_client_addr() is null";
    let by_socket = database
        .psql(&["-At", "-d", &socket, "-c", query], "")
        .await?;
    assert_eq!(by_socket.ok()?, "t\n");
    Ok(())
}

#[tokio::test]
async fn psql_takes_a_script_and_says_how_it_ended() -> Result<()> {
    let database = shared()
        .await?
        .database("scripted", Contents::Nothing)
        .await?;
    let script = "select 1;\nselect 1/0;\nselect 2;\n";
    let lenient = database.psql(&["-qAt"], script).await?;
    assert_eq!((lenient.code, lenient.stdout.as_str()), (0, "1\n2\n"));
    let strict = database
        .psql(&["-qAt", "-v", "ON_ERROR_STOP=1"], script)
        .await?;
    assert_eq!((strict.code, strict.stdout.as_str()), (3, "1\n"));
    assert!(
        strict.stderr.contains("division by zero"),
        "{}",
        strict.stderr
    );
    assert!(strict.ok().is_err());

    // More than a pipe holds, in both directions.
    let long = format!("select '{}';\n", "x".repeat(100_000)).repeat(10);
    assert_eq!(
        database.psql(&["-qAt"], &long).await?.ok()?.len(),
        1_000_010
    );
    Ok(())
}

#[tokio::test]
async fn two_tests_share_the_server_and_not_the_database() -> Result<()> {
    let cluster = shared().await?;
    let (one, two) = tokio::try_join!(
        cluster.database("share_one", Contents::Nothing),
        cluster.database("share_two", Contents::Nothing)
    )?;
    one.connect()
        .await?
        .batch_execute("create table only_here ()")
        .await?;
    let elsewhere = two.connect().await?.batch_execute("table only_here").await;
    assert!(elsewhere.is_err());
    let taken = cluster.database("share_one", Contents::Nothing).await;
    assert!(taken.is_err());
    let hostile = cluster
        .database("x\"; drop database postgres", Contents::Nothing)
        .await;
    assert!(hostile.is_err());
    Ok(())
}

#[tokio::test]
async fn a_missing_extension_is_said_plainly() -> Result<()> {
    let cluster = shared().await?;
    let installed = cluster
        .existing("postgres")
        .connect()
        .await?
        .query_one(
            "select count(*) from pg_available_extensions where name = 'pg_reconcile'",
            &[],
        )
        .await?
        .get::<_, i64>(0)
        > 0;
    match cluster.database("extended", Contents::Extension).await {
        Ok(database) => {
            let client = database.connect().await?;
            client
                .query_one("select 'reconcile'::regnamespace", &[])
                .await?;
        }
        Err(error) if installed => return Err(error.context("it is installed")),
        Err(error) => assert!(
            format!("{error:#}").contains("is it installed?"),
            "{error:#}"
        ),
    }
    Ok(())
}

#[tokio::test]
async fn a_server_stops_and_starts_again_where_it_was() -> Result<()> {
    let cluster = Cluster::start_new(Settings::default().parameter("work_mem", "7MB")).await?;
    let url = cluster.existing("postgres").url();
    let client = cluster.existing("postgres").connect().await?;
    let work_mem = client.query_one("show work_mem", &[]).await?;
    assert_eq!(work_mem.get::<_, &str>(0), "7MB");
    client
        .batch_execute("create table kept as select 42 as answer")
        .await?;

    for how in [Stop::Fast, Stop::Immediate] {
        cluster.stop(how).await?;
        assert!(!cluster.is_running()?);
        assert_eq!(cluster.processes()?, [0; 0]);
        assert!(cluster.existing("postgres").connect().await.is_err());
        cluster.start().await?;
    }
    cluster.restart().await?;
    assert_eq!(cluster.existing("postgres").url(), url);
    let kept = cluster
        .existing("postgres")
        .connect()
        .await?
        .query_one("table kept", &[])
        .await?;
    assert_eq!(kept.get::<_, i32>(0), 42);
    Ok(())
}

#[tokio::test]
async fn a_killed_server_recovers_what_was_committed() -> Result<()> {
    let cluster = Cluster::start_new(Settings::default().durable()).await?;
    let client = cluster.existing("postgres").connect().await?;
    client
        .batch_execute("create table kept as select 42 as answer")
        .await?;
    client
        .batch_execute("begin; insert into kept values (43)")
        .await?;
    let before = cluster.processes()?;
    assert!(
        before.len() > 4,
        "postmaster, checkpointer, writers, a backend: {before:?}"
    );

    cluster.kill9().await?;
    assert!(!cluster.is_running()?);
    assert!(client.simple_query("select 1").await.is_err());

    cluster.start().await?;
    assert!(
        cluster.log()?.contains("was not properly shut down"),
        "{}",
        cluster.log()?
    );
    let rows = cluster
        .existing("postgres")
        .connect()
        .await?
        .query("table kept", &[])
        .await?;
    assert_eq!(
        rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(),
        [42]
    );
    Ok(())
}

#[tokio::test]
async fn pg_cron_is_there_when_asked_for() -> Result<()> {
    let cluster = Cluster::start_new(Settings::default().cron("postgres")).await?;
    let client = cluster.existing("postgres").connect().await?;
    client.batch_execute("create extension pg_cron").await?;
    let job = client
        .query_one("select cron.schedule('* * * * *', 'select 1')", &[])
        .await
        .context("no job could be scheduled")?;
    assert!(job.get::<_, i64>(0) > 0);
    let workers = client
        .query_one("show cron.use_background_workers", &[])
        .await?;
    assert_eq!(workers.get::<_, &str>(0), "on");
    Ok(())
}
