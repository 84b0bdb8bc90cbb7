//! The provider of the benchmark: the simulator as a process of its own, so that its processor time
//! is told apart from everybody else's.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::usage;
use crate::leash::Leashed;
use crate::simulator::Totals;
use crate::wait;

/// See the module.
pub(crate) struct Vendor {
    process: Leashed,
    address: SocketAddr,
}

impl Vendor {
    /// One that says `succeeded` about every order, after this long.
    ///
    /// # Errors
    /// When the simulator is not built.
    pub(crate) async fn start(latency: Duration) -> Result<Self> {
        let arguments = ["--latency-ms".to_owned(), latency.as_millis().to_string()];
        let process = Leashed::start(&program()?, &arguments, &[])?;
        let soon = Duration::from_secs(10);
        let address = wait::value(soon, "the simulator's address", async || {
            let line = process.stdout();
            Ok(line.strip_suffix('\n').map(str::parse).transpose()?)
        });
        let address = address.await.with_context(|| process.stderr())?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its calls in numbers.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn totals(&self) -> Result<Totals> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{}/_totals", self.address);
        let page = client.get(url).send().await?.text().await?;
        Ok(serde_json::from_str(&page)?)
    }

    /// Its processor time so far, in seconds.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        usage::cpu_seconds(self.process.pid())
    }
}

/// What the same build has put beside this program, or above it for a test.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder: &Path| folder.join("simulator"))
        .find(|candidate| candidate.is_file())
        .context("the simulator is not built: cargo build -p reconcile-tests")
}
