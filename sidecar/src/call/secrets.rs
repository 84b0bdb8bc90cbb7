//! Owns the look-up of secrets by name: first a file of the secrets folder, then the environment;
//! and the hosts that the operator bound a secret to. Never prints one. A secret is read again a
//! second after its last reading, so it can be rotated without a restart.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::call::{exhaustion::is_exhaustion, guard::AllowList};

const CACHED_FOR: Duration = Duration::from_secs(1);
const MAX_BYTES: usize = 65_536;
const VARIABLE_PREFIX: &str = "RECONCILE_SECRET_";

/// After the name of a secret, as a file and as a variable.
const HOSTS_FILE: &str = ".hosts";
const HOSTS_VARIABLE: &str = "_HOSTS";

/// Why there is no secret. Cloned to every call that waits for the same look-up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    /// The name could be a path or anything else.
    #[error("a secret's name is made of A-Z, 0-9 and _")]
    BadName,
    /// Neither a file nor a variable.
    #[error("no secret named {0}")]
    Missing(String),
    /// There is a file, but it can't be used.
    #[error("the file of the secret {0} can't be read: {1}")]
    Unreadable(String, String),
    /// Nothing is known about it: this machine has no descriptor or memory left to look.
    #[error("no descriptor or memory is left to read the secret {0}")]
    Exhausted(String),
    /// The operator listed the secret's hosts, but the list can't be used.
    #[error("the list of hosts of the secret {0} can't be used: {1}")]
    BadHosts(String, String),
    /// The operator listed the secret's hosts, and the request goes elsewhere.
    #[error("the secret {0} is bound to other hosts than the one that is asked")]
    Bound(String),
}

/// A secret, and where it may go.
#[derive(Clone)]
struct CachedSecret {
    secret: SecretString,
    /// None means anywhere.
    hosts: Option<Arc<AllowList>>,
}

type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where secrets are found.
pub(crate) struct Secrets {
    folder: Option<PathBuf>,
    environment: Environment,
    cache: Cache<String, CachedSecret>,
}

impl Secrets {
    /// Secrets from the files of `folder` and from the process's environment.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self::with_environment(folder, Arc::new(|name| std::env::var(name).ok()))
    }

    fn with_environment(folder: Option<PathBuf>, environment: Environment) -> Self {
        let cache = Cache::builder()
            .max_capacity(1024)
            .time_to_live(CACHED_FOR)
            .build();
        Self {
            folder,
            environment,
            cache,
        }
    }

    /// The secret with this name, for a request to `url`.
    pub(crate) async fn get(&self, name: &str, url: &Url) -> Result<SecretString, SecretError> {
        if reconcile_contract::secret::complaint(name).is_some() {
            return Err(SecretError::BadName);
        }
        let cached = self
            .cache
            .try_get_with_by_ref(name, self.read(name))
            .await
            .map_err(|error| SecretError::clone(&error))?;
        match cached.hosts {
            Some(hosts) if !hosts.includes(url) => Err(SecretError::Bound(name.to_owned())),
            _ => Ok(cached.secret),
        }
    }

    async fn read(&self, name: &str) -> Result<CachedSecret, SecretError> {
        let secret = match self.read_file(name, name).await? {
            Some(text) => Some(text),
            None => (self.environment)(&format!("{VARIABLE_PREFIX}{name}")).map(SecretString::from),
        };
        // An empty variable is how a deployment says "not set", and signs nothing.
        let secret = secret
            .filter(|secret| !secret.expose_secret().is_empty())
            .ok_or_else(|| SecretError::Missing(name.to_owned()))?;
        let hosts = self.read_hosts(name).await?;
        Ok(CachedSecret { secret, hosts })
    }

    /// An empty list lets the secret go nowhere: whoever wrote one wanted a limit.
    async fn read_hosts(&self, name: &str) -> Result<Option<Arc<AllowList>>, SecretError> {
        let text = match self.read_file(name, &format!("{name}{HOSTS_FILE}")).await? {
            Some(text) => text.expose_secret().replace(['\r', '\n'], ","),
            None => {
                let variable = format!("{VARIABLE_PREFIX}{name}{HOSTS_VARIABLE}");
                match (self.environment)(&variable) {
                    Some(text) => text,
                    None => return Ok(None),
                }
            }
        };
        text.parse()
            .map(|hosts| Some(Arc::new(hosts)))
            .map_err(|why| SecretError::BadHosts(name.to_owned(), why))
    }

    async fn read_file(&self, name: &str, file: &str) -> Result<Option<SecretString>, SecretError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let unreadable = |why: &str| SecretError::Unreadable(name.to_owned(), why.to_owned());
        let failed = |error: io::Error| match is_exhaustion(&error) {
            true => SecretError::Exhausted(name.to_owned()),
            false => unreadable(&error.kind().to_string()),
        };
        let path = folder.join(file);
        let size = match tokio::fs::metadata(&path).await {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if size > MAX_BYTES as u64 {
            return Err(unreadable("it is longer than 65,536 bytes"));
        }
        let text = tokio::fs::read_to_string(&path)
            .await
            .map(SecretString::from)
            .map_err(failed)?;
        let inner = text.expose_secret();
        let trimmed = inner.strip_suffix('\n').unwrap_or(inner);
        Ok(Some(trimmed.strip_suffix('\r').unwrap_or(trimmed).into()))
    }
}

#[cfg(test)]
pub(crate) mod tests;
