//! Owns the way from a name to addresses for the HTTP client. The addresses that are checked here
//! are the ones that are connected to, so a name can't change its mind in between.

use std::{net::SocketAddr, time::Duration};

use moka::future::Cache;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::call::{
    exhaustion::{is_exhaustion, is_without_descriptors},
    special_purpose::is_public,
};

/// Long enough for a burst of new connections to share one look-up, short enough to follow a
/// provider that moves.
const CACHED_FOR: Duration = Duration::from_secs(5);

const MAX_NAMES: u64 = 1024;

/// Why a name leads nowhere.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LookupError {
    /// The name has no address.
    #[error("the host name can't be resolved: {0}")]
    NotFound(String),
    /// It has, but none that may be asked. Says no address: who writes a URL learns nothing about
    /// the network that the sidecar lives in.
    #[error(
        "the host name leads to an address that isn't public and RECONCILE_ALLOW_HOSTS doesn't list the host"
    )]
    NotPublic,
    /// This machine could not even ask.
    #[error("no descriptor or memory is left to resolve the host name")]
    Exhausted,
}

/// Resolves names with the system's resolver. Concurrent look-ups of one name are one look-up, so
/// that a slow name server costs one thread and not one a call.
pub(crate) struct Resolver {
    public_only: bool,
    known: Cache<String, Vec<SocketAddr>>,
}

impl Resolver {
    /// A resolver that gives public addresses only, or all.
    pub(crate) fn new(public_only: bool) -> Self {
        let known = Cache::builder()
            .max_capacity(MAX_NAMES)
            .time_to_live(CACHED_FOR)
            .build();
        Self { public_only, known }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (known, public_only) = (self.known.clone(), self.public_only);
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let look_up = look_up(name.clone(), public_only);
            match known.try_get_with(name, look_up).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(error) => Err(LookupError::clone(&error).into()),
            }
        })
    }
}

async fn look_up(name: String, public_only: bool) -> Result<Vec<SocketAddr>, LookupError> {
    // Port 0 stands for the port of the URL.
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0))
        .await
        .map_err(
            |error| match is_exhaustion(&error) || is_without_descriptors() {
                true => LookupError::Exhausted,
                false => LookupError::NotFound(error.to_string()),
            },
        )?
        .collect();
    permitted(found, public_only)
}

fn permitted(found: Vec<SocketAddr>, public_only: bool) -> Result<Vec<SocketAddr>, LookupError> {
    if found.is_empty() {
        return Err(LookupError::NotFound("it has no address".to_owned()));
    }
    let permitted: Vec<SocketAddr> = found
        .into_iter()
        .filter(|found| !public_only || is_public(found.ip()))
        .collect();
    if permitted.is_empty() {
        return Err(LookupError::NotPublic);
    }
    Ok(permitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
            .collect()
    }

    #[test]
    fn private_addresses_are_taken_out() {
        let mixed = addresses(&["10.0.0.1", "1.1.1.1", "::1"]);
        assert_eq!(
            permitted(mixed.clone(), true).unwrap()[..],
            addresses(&["1.1.1.1"])
        );
        assert_eq!(permitted(mixed.clone(), false).unwrap(), mixed);
        let private = permitted(addresses(&["127.0.0.1"]), true);
        assert!(matches!(private, Err(LookupError::NotPublic)));
        assert!(matches!(
            permitted(vec![], true),
            Err(LookupError::NotFound(_))
        ));
    }

    #[tokio::test]
    async fn localhost_is_not_public() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = Resolver::new(true)
            .resolve(name())
            .await
            .map(|_| ())
            .unwrap_err();
        assert!(refused.is::<LookupError>());
        assert!(Resolver::new(false).resolve(name()).await.unwrap().count() > 0);
    }
}
