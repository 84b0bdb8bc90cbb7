//! A standby: a copy of a running cluster that follows it, until it is cut off or promoted.

use anyhow::{Result, ensure};

use super::{Cluster, Settings, Stop};

impl Cluster {
    /// Makes a cluster whose data is a base backup of `primary`, which it follows asynchronously.
    ///
    /// # Errors
    /// When the backup fails, or the server does not come up.
    pub async fn standby_of(primary: &Self, settings: Settings) -> Result<Self> {
        let standby = Self::start_new(settings).await?;
        standby.stop(Stop::Fast).await?;
        let data = standby.data();
        let own_settings = std::fs::read(data.join("postgresql.conf"))?;
        std::fs::remove_dir_all(&data)?;
        let mut backup = primary.command("pg_basebackup");
        backup.args([
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
            "--pgdata",
        ]);
        let backup = backup.arg(&data).output().await?;
        ensure!(
            backup.status.success(),
            "{}",
            String::from_utf8_lossy(&backup.stderr)
        );
        // The copy has the primary's port and socket folder.
        std::fs::write(data.join("postgresql.conf"), own_settings)?;
        standby.start().await?;
        Ok(standby)
    }

    /// Promotes a standby, and waits until it takes writes.
    ///
    /// # Errors
    /// When it is none, or does not become a primary in time.
    pub async fn promote(&self) -> Result<()> {
        self.run(&mut self.pg_ctl("promote")).await
    }
}
