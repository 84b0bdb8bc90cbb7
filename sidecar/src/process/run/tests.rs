//! A whole sidecar, with a database that isn't there.

use clap::Parser;

use super::*;

/// Proves that a sidecar whose database is away runs, and that it ends when it is asked to.
#[tokio::test]
async fn it_waits_for_its_database_and_ends_when_asked_to() {
    let settings = Settings::try_parse_from([
        "reconcile-sidecar",
        "--database-url",
        "postgresql://sidecar@127.0.0.1:1/shop?sslmode=disable",
        "--http-address",
        "none",
    ])
    .unwrap();
    let shutdown = CancellationToken::new();
    let mut running = tokio::spawn(run(settings, shutdown.clone()));
    let moment = timeout(Duration::from_millis(300), &mut running).await;
    assert!(moment.is_err(), "{moment:?}");
    shutdown.cancel();
    let ended = timeout(Duration::from_secs(5), running).await;
    ended.unwrap().unwrap().unwrap();
}
