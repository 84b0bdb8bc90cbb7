//! Other ways for the demo to end than by itself.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tokio_postgres::NoTls;

use crate::run::Demo;

/// An interruption in the middle ends everything that has been started.
#[tokio::test]
async fn an_interrupted_demo_leaves_nothing() -> Result<()> {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut demo = Demo::start(&[])?;
        demo.line_with(" s  pending ").await?;
        demo.signal(signal)?;
        assert_eq!(demo.ended().await?.code, code);
    }
    Ok(())
}

/// With --keep it stays up: the psql command that it prints works, and so does its example. It ends
/// well when it is told to.
#[tokio::test]
async fn a_kept_demo_can_be_looked_at_until_ctrl_c() -> Result<()> {
    let mut demo = Demo::start(&["--keep"])?;
    let psql = demo.line_with("psql postgres://").await?;
    let put = demo.line_with("curl -X PUT").await?;
    let fate = demo.line_with("-d '").await?;
    let track = demo.line_with("select reconcile.track_order").await?;
    let ask = demo.line_with("select * from reconcile_order").await?;
    let url = psql.split_whitespace().last().context("no URL")?;
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);

    let fate = fate.split('\'').nth(1).context("no fate")?.to_owned();
    let vendor = put.split_whitespace().nth(3).context("no URL")?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let response = http.put(vendor).body(fate).send().await?;
    response.error_for_status()?;
    client.batch_execute(track.trim()).await?;
    let row = client
        .query_one(ask.trim().trim_end_matches(';'), &[])
        .await?;
    assert_eq!(row.get::<_, String>("state"), "failed");
    let sql = "select count(*) from reconcile.orders";
    assert_eq!(client.query_one(sql, &[]).await?.get::<_, i64>(0), 301);

    let up = demo.processes()?;
    for program in ["/demo", "/reconcile-sidecar", "/postgres"] {
        let runs = up
            .iter()
            .any(|words| words.iter().any(|word| word.ends_with(program)));
        assert!(runs, "{program} is not among {up:?}");
    }
    demo.signal(Signal::SIGINT)?;
    assert_eq!(demo.ended().await?.code, 0);
    assert!(
        connection.await?.is_err(),
        "the server went away in good order"
    );
    Ok(())
}
