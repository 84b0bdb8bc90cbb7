//! The PostgreSQL that is installed here and how to run its programs: which folder they are in,
//! which account they run as (the server refuses root), where their files may be. Starts nothing.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::unistd::{Uid, User};
use tokio::process::Command;

/// Room that a socket address leaves for its path on Linux, with the terminating zero.
const LONGEST_SOCKET_PATH: usize = 108;

/// The server's programs and the account they run as.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    /// The folder of `initdb`, `pg_ctl`, `postgres` and `psql`.
    pub(crate) programs: PathBuf,
    /// User and group to run the server as; none when the tests are not run by root.
    pub(crate) account: Option<(u32, u32)>,
}

impl Installation {
    /// Asks `pg_config` (the environment's `PG_CONFIG`, else the one on the path).
    pub(crate) async fn find() -> Result<Self> {
        let pg_config = std::env::var_os("PG_CONFIG").unwrap_or_else(|| "pg_config".into());
        let answer = Command::new(&pg_config).arg("--bindir").output().await;
        let answer = answer.with_context(|| {
            format!(
                "{} could not be run: is PostgreSQL installed?",
                pg_config.display()
            )
        })?;
        let folder = PathBuf::from(String::from_utf8(answer.stdout)?.trim());
        let programs = folder
            .canonicalize()
            .with_context(|| format!("there is no folder {}", folder.display()))?;
        for program in ["initdb", "pg_ctl", "postgres", "psql"] {
            ensure!(
                programs.join(program).exists(),
                "{program} is not in {}: is the PostgreSQL server installed?",
                programs.display()
            );
        }
        Ok(Self {
            programs,
            account: unprivileged_account()?,
        })
    }

    /// An empty folder that the server's account owns, with a path short enough for a socket in it.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let system = std::env::temp_dir();
        let parent = [system.as_path(), Path::new("/tmp"), Path::new("/var/tmp")]
            .into_iter()
            .find(|candidate| self.suits(candidate))
            .context("no temporary folder that the server's account can enter")?;
        let folder = tempfile::Builder::new()
            .prefix("reconcile-")
            .tempdir_in(parent)?
            .keep();
        if let Some((user, group)) = self.account {
            chown(&folder, Some(user), Some(group))?;
        }
        Ok(folder)
    }

    fn suits(&self, parent: &Path) -> bool {
        let socket = parent.join("reconcile-XXXXXX/.s.PGSQL.65535.lock");
        let enterable = parent.ancestors().all(|folder| {
            folder
                .metadata()
                .is_ok_and(|m| m.is_dir() && (m.mode() & 0o001) != 0)
        });
        socket.as_os_str().len() < LONGEST_SOCKET_PATH
            && (self.account.is_none() || enterable)
            && parent
                .metadata()
                .is_ok_and(|m| m.permissions().mode() & 0o200 != 0)
    }

    /// One of the server's programs, run as the server's account from inside of `folder`.
    pub(crate) fn as_server(&self, program: &str, folder: &Path) -> Command {
        let mut command = self.as_client(program);
        command.current_dir(folder);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    /// One of the server's programs, run as who runs the tests. The environment's libpq variables
    /// are left out: they would lead it to somebody else's server.
    pub(crate) fn as_client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") && name != OsStr::new("PG_CONFIG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C.UTF-8").kill_on_drop(true);
        command
    }
}

/// `postgres`, else `nobody`, when root runs the tests.
fn unprivileged_account() -> Result<Option<(u32, u32)>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some((user.uid.as_raw(), user.gid.as_raw())));
        }
    }
    anyhow::bail!("root can't run PostgreSQL, and there is no user postgres or nobody")
}
