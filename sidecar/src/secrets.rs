//! Owns the look-up of secrets by name: first a file of the secrets folder, then the environment.
//! Never prints one. A secret is read again a second after its last reading, so it can be rotated
//! without a restart.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};

const REMEMBER: Duration = Duration::from_secs(1);
const MAX_BYTES: usize = 65_536;
const VARIABLE_PREFIX: &str = "RECONCILE_SECRET_";

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
}

type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where secrets are found.
pub(crate) struct Secrets {
    folder: Option<PathBuf>,
    environment: Environment,
    known: Cache<String, SecretString>,
}

impl Secrets {
    /// Secrets from the files of `folder` and from the process's environment.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self::with_environment(folder, Arc::new(|name| std::env::var(name).ok()))
    }

    fn with_environment(folder: Option<PathBuf>, environment: Environment) -> Self {
        let known = Cache::builder()
            .max_capacity(1024)
            .time_to_live(REMEMBER)
            .build();
        Self {
            folder,
            environment,
            known,
        }
    }

    /// The secret with this name.
    pub(crate) async fn get(&self, name: &str) -> Result<SecretString, SecretError> {
        let named_well =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(named_well) {
            return Err(SecretError::BadName);
        }
        self.known
            .try_get_with_by_ref(name, self.read(name))
            .await
            .map_err(|error| SecretError::clone(&error))
    }

    async fn read(&self, name: &str) -> Result<SecretString, SecretError> {
        let secret = match self.read_file(name).await? {
            Some(text) => Some(text),
            None => (self.environment)(&format!("{VARIABLE_PREFIX}{name}")).map(SecretString::from),
        };
        // An empty variable is how a deployment says "not set", and signs nothing.
        secret
            .filter(|secret| !secret.expose_secret().is_empty())
            .ok_or_else(|| SecretError::Missing(name.to_owned()))
    }

    async fn read_file(&self, name: &str) -> Result<Option<SecretString>, SecretError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let unreadable = |why: &str| SecretError::Unreadable(name.to_owned(), why.to_owned());
        let path = folder.join(name);
        let size = match tokio::fs::metadata(&path).await {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&error.kind().to_string())),
        };
        if size > MAX_BYTES as u64 {
            return Err(unreadable("it is longer than 65,536 bytes"));
        }
        let text = tokio::fs::read_to_string(&path)
            .await
            .map(SecretString::from)
            .map_err(|error| unreadable(&error.kind().to_string()))?;
        let inner = text.expose_secret();
        let trimmed = inner.strip_suffix('\n').unwrap_or(inner);
        Ok(Some(trimmed.strip_suffix('\r').unwrap_or(trimmed).into()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Secrets from an environment that holds just these.
    pub(crate) fn secrets(pairs: &'static [(&str, &str)]) -> Secrets {
        let environment = move |name: &str| {
            let name = name.strip_prefix(VARIABLE_PREFIX)?;
            pairs
                .iter()
                .find(|pair| pair.0 == name)
                .map(|pair| pair.1.to_owned())
        };
        Secrets::with_environment(None, Arc::new(environment))
    }

    async fn text(secrets: &Secrets, name: &str) -> Result<String, SecretError> {
        secrets
            .get(name)
            .await
            .map(|secret| secret.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_file_wins_over_the_environment_and_loses_its_newline() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("TOKEN"), "from the file\r\n").unwrap();
        let secrets = Secrets::with_environment(
            Some(folder.path().to_owned()),
            Arc::new(|name| Some(format!("value of {name}"))),
        );
        assert_eq!(text(&secrets, "TOKEN").await.unwrap(), "from the file");
        assert_eq!(
            text(&secrets, "OTHER").await.unwrap(),
            "value of RECONCILE_SECRET_OTHER"
        );
    }

    #[tokio::test]
    async fn a_rotated_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(Some(folder.path().to_owned()));
        std::fs::write(folder.path().join("TOKEN"), "old").unwrap();
        assert_eq!(text(&secrets, "TOKEN").await.unwrap(), "old");
        std::fs::write(folder.path().join("TOKEN"), "new").unwrap();
        let seen = async {
            while text(&secrets, "TOKEN").await.unwrap() != "new" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), seen)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn names_are_no_paths() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(Some(folder.path().to_owned()));
        for name in [
            "",
            "../PASSWD",
            "/etc/passwd",
            "a",
            "A.B",
            "A/B",
            "A\0",
            "Ä",
        ] {
            assert_eq!(
                text(&secrets, name).await,
                Err(SecretError::BadName),
                "{name:?}"
            );
        }
        assert_eq!(
            text(&secrets, "A").await,
            Err(SecretError::Missing("A".into()))
        );
    }

    #[tokio::test]
    async fn an_empty_secret_is_missing_and_a_folder_is_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("EMPTY"), "\n").unwrap();
        std::fs::create_dir(folder.path().join("FOLDER")).unwrap();
        let secrets = Secrets::new(Some(folder.path().to_owned()));
        assert_eq!(
            text(&secrets, "EMPTY").await,
            Err(SecretError::Missing("EMPTY".into()))
        );
        let unreadable = text(&secrets, "FOLDER").await;
        assert!(matches!(unreadable, Err(SecretError::Unreadable(..))));
    }
}
