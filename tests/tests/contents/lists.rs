//! The golden lists: what CREATE EXTENSION makes, how each function runs, and the matrix of rights.

use anyhow::Result;
use reconcile_tests::cluster::Contents;
use reconcile_tests::transcript;

use crate::cluster;

async fn compare(name: &str, database: &'static str) -> Result<()> {
    let cluster = cluster().await?;
    let database = cluster.database(database, Contents::Extension).await?;
    transcript::compare(cluster, database, name).await
}

#[tokio::test]
async fn the_extension_contains_what_is_listed() -> Result<()> {
    compare("contents/extension", "list_extension").await
}

#[tokio::test]
async fn each_function_runs_as_listed() -> Result<()> {
    compare("contents/functions", "list_functions").await
}

#[tokio::test]
async fn each_role_may_do_what_is_listed() -> Result<()> {
    compare("contents/privileges", "list_privileges").await
}

#[test]
fn every_list_is_compared() -> Result<()> {
    let compared = [
        "contents/extension",
        "contents/functions",
        "contents/privileges",
    ];
    assert_eq!(transcript::names("contents")?, compared);
    Ok(())
}
