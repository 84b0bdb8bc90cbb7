//! Secrets from files and from an environment that a test makes up.

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

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

async fn text(secrets: &Secrets, name: &str) -> Result<String, SecretError> {
    secrets
        .get(name, &url("https://api.example.com/"))
        .await
        .map(|secret| secret.expose_secret().to_owned())
}

#[tokio::test]
async fn a_file_wins_over_the_environment_and_loses_its_newline() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("TOKEN"), "from the file\r\n").unwrap();
    let secrets = Secrets::with_environment(
        Some(folder.path().to_owned()),
        Arc::new(|name| (!name.ends_with("_HOSTS")).then(|| format!("value of {name}"))),
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

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_bound_secret_goes_to_its_hosts_alone() {
    let folder = folder(&[
        ("FILED", "a"),
        (
            "FILED.hosts",
            "api.example.com, b.example.com:8443\n127.0.0.1\n",
        ),
    ]);
    let secrets = Secrets::with_environment(
        Some(folder.path().to_owned()),
        Arc::new(|name| match name {
            "RECONCILE_SECRET_SET" => Some("b".to_owned()),
            "RECONCILE_SECRET_SET_HOSTS" => Some("API.example.com.".to_owned()),
            _ => None,
        }),
    );
    for (name, address, goes) in [
        ("FILED", "https://api.example.com/x?y", true),
        ("FILED", "https://b.example.com:8443/", true),
        ("FILED", "http://127.0.0.1:99/", true),
        ("FILED", "https://b.example.com/", false),
        ("FILED", "https://evil.example/api.example.com", false),
        ("FILED", "https://api.example.com.evil.example/", false),
        ("SET", "https://api.example.com/", true),
        ("SET", "https://b.example.com/", false),
    ] {
        let got = secrets.get(name, &url(address)).await.map(drop);
        let bound = Err(SecretError::Bound(name.to_owned()));
        assert_eq!(got, if goes { Ok(()) } else { bound }, "{name} {address}");
    }
}

#[tokio::test]
async fn a_binding_that_can_not_be_read_or_is_empty_binds() {
    let folder = folder(&[
        ("BROKEN", "a"),
        ("BROKEN.hosts", "https://api.example.com"),
        ("EMPTY", "a"),
        ("EMPTY.hosts", "\n"),
    ]);
    let secrets = Secrets::new(Some(folder.path().to_owned()));
    assert!(matches!(
        text(&secrets, "BROKEN").await,
        Err(SecretError::BadHosts(..))
    ));
    assert_eq!(
        text(&secrets, "EMPTY").await,
        Err(SecretError::Bound("EMPTY".into()))
    );
}
