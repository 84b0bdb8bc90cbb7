//! The sidecar as a process, with a stand-in of a few lines of shell in place of the real one.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use reconcile_tests::sidecar::{Settings, Sidecar};
use reconcile_tests::wait;

const SOON: Duration = Duration::from_secs(10);

fn stand_in(folder: &tempfile::TempDir, on_sigterm: &str) -> Result<Settings> {
    let path: PathBuf = folder.path().join("stand-in");
    let script = format!(
        r#"#!/bin/sh
trap '{on_sigterm}' TERM
echo not json >&2
echo "{{\"hosts\":\"$RECONCILE_ALLOW_HOSTS\",\"secret\":\"$RECONCILE_SECRET_TOKEN\"}}" >&2
echo "{{\"slots\":$RECONCILE_SLOTS,\"url\":\"$DATABASE_URL\"}}" >&2
while :; do sleep 0.01; done
"#
    );
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    let mut settings = Settings::new("postgres://somewhere/else", "127.0.0.1:8080".parse()?);
    settings.program = Some(path);
    settings.slots = Some(17);
    settings.secrets = vec![("TOKEN".to_owned(), "s3cret".to_owned())];
    Ok(settings)
}

#[tokio::test]
async fn settings_reach_it_and_its_log_comes_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sidecar = Sidecar::start(&stand_in(&folder, "exit 0")?)?;
    wait::until(SOON, "two lines of JSON", async || sidecar.log().len() == 2).await?;
    let log = sidecar.log();
    assert_eq!(log[0]["hosts"], "127.0.0.1:8080");
    assert_eq!(log[0]["secret"], "s3cret");
    assert_eq!(log[1]["slots"], 17);
    assert_eq!(log[1]["url"], "postgres://somewhere/else");
    assert!(sidecar.stderr().starts_with("not json\n"));
    sidecar.stop().await
}

#[tokio::test]
async fn a_stop_that_ends_badly_is_an_error() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sidecar = Sidecar::start(&stand_in(&folder, "exit 1")?)?;
    wait::until(SOON, "its log", async || sidecar.log().len() == 2).await?;
    let error = sidecar.stop().await.expect_err("it ends with 1");
    assert!(error.to_string().contains("ended with 1"), "{error}");
    let error = sidecar.ready().await.expect_err("it has ended");
    assert!(format!("{error:#}").contains("ended with 1"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn a_killed_one_is_gone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sidecar = Sidecar::start(&stand_in(&folder, "")?)?;
    sidecar.freeze().await?;
    sidecar.thaw()?;
    sidecar.kill9().await?;
    assert_eq!(sidecar.process().exit_code()?, Some(128 + 9));
    Ok(())
}
