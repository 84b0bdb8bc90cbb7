//! Processes on a leash: their output, signals, exit codes.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use reconcile_tests::leash::Leashed;
use reconcile_tests::{process, wait};

const SOON: Duration = Duration::from_secs(10);

fn sh(script: &str) -> Result<Leashed> {
    let word = ("WORD".to_owned(), "from outside".to_owned());
    Leashed::start(
        Path::new("/bin/sh"),
        &["-c".to_owned(), script.to_owned()],
        &[word],
    )
}

#[tokio::test]
async fn output_and_exit_code_come_through() -> Result<()> {
    let program = sh("echo $$; echo \"$WORD\" >&2; exit 7")?;
    assert_eq!(program.ended(SOON).await?, 7);
    let pid = format!("{}\n", program.pid());
    wait::until(SOON, "its output", async || program.stdout() == pid).await?;
    wait::until(SOON, "its errors", async || {
        program.stderr() == "from outside\n"
    })
    .await?;
    assert!(program.signal(Signal::SIGTERM).is_err(), "nobody is there");
    Ok(())
}

#[tokio::test]
async fn signals_reach_the_program_itself() -> Result<()> {
    let program = sh("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")?;
    wait::until(SOON, "its trap", async || program.stdout() == "ready\n").await?;
    program.signal(Signal::SIGSTOP)?;
    program.signal(Signal::SIGTERM)?;
    assert!(
        program.ended(Duration::from_millis(200)).await.is_err(),
        "it is frozen"
    );
    program.signal(Signal::SIGCONT)?;
    assert_eq!(program.ended(SOON).await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_dropped_one_is_gone_even_if_frozen() -> Result<()> {
    let program = sh("exec sleep 1000")?;
    program.signal(Signal::SIGSTOP)?;
    let pid = program.pid();
    assert!(process::one(pid).is_some());
    drop(program);
    assert_eq!(process::one(pid), None);
    Ok(())
}

#[tokio::test]
async fn a_wait_in_vain_says_for_what() {
    let waited = wait::until(
        Duration::from_millis(30),
        "the cows to come home",
        async || false,
    );
    let error = waited.await.expect_err("they do not");
    assert!(
        error.to_string().contains("the cows to come home"),
        "{error}"
    );
}
