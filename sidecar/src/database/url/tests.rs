//! What DATABASE_URL may say, and that nothing repeats what it holds.

use super::*;

fn parse(text: &str) -> Result<Target, DatabaseUrlError> {
    Target::parse(text, Duration::from_secs(5))
}

#[test]
fn urls() {
    let target = parse(
        "postgresql://me:p%40ss@db:5433/shop?sslmode=verify-full&target_session_attrs=read-write",
    )
    .unwrap();
    assert_eq!(target.tls_mode, TlsMode::VerifyFull);
    assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
    assert_eq!(target.config.get_password(), Some(&b"p@ss"[..]));
    let name = target.config.get_application_name().unwrap();
    let own = name.strip_prefix("reconcile-sidecar ").unwrap();
    assert!(own.len() == 16 && u64::from_str_radix(own, 16).is_ok());
    let long = format!("host=db application_name={}", "x".repeat(70));
    let name = parse(&long).unwrap();
    assert_eq!(name.config.get_application_name().map(str::len), Some(63));
    assert_eq!(target.describe(), "db/shop");
    let plain = parse("postgres://db/shop").unwrap();
    assert_eq!(
        (plain.tls_mode, plain.config.get_ssl_mode()),
        (TlsMode::Prefer, SslMode::Prefer)
    );
    let odd = parse("postgresql://me:what?sslmode=x@db/shop?sslmode=disable").unwrap();
    assert_eq!(odd.config.get_ssl_mode(), SslMode::Disable);
    assert_eq!(odd.config.get_password(), Some(&b"what?sslmode=x"[..]));
}

#[test]
fn sockets() {
    for text in [
        "postgresql:///shop?host=/var/run/postgresql&user=me",
        "postgresql://me@%2Fvar%2Frun%2Fpostgresql/shop?sslmode=require",
        "host=/var/run/postgresql dbname=shop user=me",
    ] {
        let target = parse(text).unwrap();
        assert_eq!(target.config.get_ssl_mode(), SslMode::Disable, "{text}");
        assert_eq!(target.describe(), "/var/run/postgresql/shop");
    }
}

#[test]
fn pairs() {
    let target =
        parse(r"host=db  password = 'a \' sslmode=b'  sslmode = 'verify-ca' dbname=shop").unwrap();
    assert_eq!(target.tls_mode, TlsMode::VerifyCa);
    assert_eq!(target.config.get_password(), Some(&b"a ' sslmode=b"[..]));
    assert_eq!(target.config.get_dbname(), Some("shop"));
}

#[test]
fn an_error_says_what_to_do() {
    for (text, words) in [
        ("", "is empty"),
        (" \n", "is empty"),
        ("postgresql://me:p@ss@db/shop", "%40"),
        ("postgresql://db:5432/shop?user=me&password=p@ss", "%40"),
        ("postgresql://db?user=me&password=p@ss", "%40"),
        ("postgresql://db:5432?password=p@ss", "%40"),
        ("postgresql://me:a/b@db/shop", "%2F"),
        (
            "postgresql://me:hush@db/shop?sslmode=sometimes",
            "sslmode is",
        ),
        ("postgresql://me:hush@db/shop?colour=red", "nobody knows"),
        ("postgresql://me:hush@db/shop?sslrootcert=x", "sslrootcert"),
        ("postgresql://me:hush@db:port/shop", "value of port"),
        (
            "postgresql://me@db/shop?password=a&host=hush",
            "host is given twice",
        ),
        (
            "host=db password=a dbname=shop host=b",
            "host is given twice",
        ),
        ("postgresql://me:x@d%40b/shop", "a host's name"),
        ("dbname=shop password=hush", "no host"),
        ("hush", "neither a URL"),
        ("mysql://me:hush@db/shop", "neither a URL"),
        ("host=db password=my hush", "neither a URL"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with("DATABASE_URL"), "{error}");
        assert!(error.contains(words), "{text}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn a_url_as_the_name_of_a_database_is_not_shown() {
    let target = parse("host=db dbname=postgresql://me:hush@db/shop").unwrap();
    assert_eq!(target.describe(), "db/(its database)");
}

/// Whatever is printed about this text.
fn shown(text: &str) -> String {
    match parse(text) {
        Ok(target) => format!("{target:?} {}", target.describe()),
        Err(error) => format!("{error} {error:?}"),
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(2000))]

    /// The password begins with what the writer forgot to encode or to quote.
    #[test]
    fn no_end_of_a_password_is_ever_shown(start in "[a-z@:/?#&=%' \\\\.,]{0,12}", end in "Q[A-Z0-9]{3}") {
        let password = format!("{start}{end}");
        for text in [
            format!("postgresql://me:{password}@db/shop"),
            format!(" postgres://me:{password}@db:5433/shop?sslmode=require"),
            format!("postgresql://me:{password}@db/shop?user={password}"),
            format!("postgresql://db/shop?user=me&password=x@{password}"),
            format!("postgresql://db:5432/shop?user=me&password=x@{password}&sslmode=disable"),
            format!("mysql://me:{password}@db/shop"),
            format!("me:{password}@db/shop"),
            format!("host=db user=me password={password}"),
            format!("host=db user=me password='{password}' dbname=shop"),
            format!("password={password} host=db user=me sslmode={password}"),
        ] {
            let shown = shown(&text);
            proptest::prop_assert!(!shown.contains(&end), "{} {}", text, shown);
        }
    }
}
