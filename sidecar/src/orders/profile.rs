//! Owns what all orders of one provider version share: method, headers, auth, time limit. Fetched
//! from the database once and kept for a minute. Never holds a secret.

use std::{collections::HashMap, sync::Arc, time::Duration};

use reconcile_contract::{auth::Auth, header::OF_THE_TRANSPORT};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    call::fault::{CallError, Fault},
    database::protocol::providers::{ProviderRow, ProviderVersion},
    orders::instruments::ProviderInstruments,
};

/// A version's row doesn't change, but a provider can be removed and added anew with the same name.
const CACHED_FOR: Duration = Duration::from_secs(60);

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// One provider version, ready to be called.
pub(crate) struct Profile {
    /// The provider's name.
    pub(crate) name: Arc<str>,
    /// Its numbers.
    pub(crate) instruments: Arc<ProviderInstruments>,
    /// The limit of a whole call, from connecting to the body's last byte.
    pub(crate) timeout: Duration,
    /// How long a lease lasts: no call outlives it.
    pub(crate) lease: Duration,
    /// How to call; or why its row makes that impossible, which every order then reports.
    pub(crate) shape: Result<RequestShape, CallError>,
}

/// What every request to the provider has.
#[derive(Debug)]
pub(crate) struct RequestShape {
    /// The request's method.
    pub(crate) method: Method,
    /// The headers of every request; none if each order brings its own.
    pub(crate) headers: Option<HeaderMap>,
    /// Whether each order brings a body.
    pub(crate) own_body: bool,
    /// How it is signed, and which secrets stand in headers beside that.
    pub(crate) auth: Auth,
}

impl Profile {
    /// Reads a provider's row; none if the database doesn't know this version any more.
    pub(crate) fn new(
        name: &str,
        row: Option<ProviderRow>,
        instruments: Arc<ProviderInstruments>,
    ) -> Self {
        let time = |ms: Option<i32>| {
            ms.and_then(|ms| u64::try_from(ms).ok())
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis)
        };
        let timeout = time(row.as_ref().and_then(|row| row.timeout_ms))
            .unwrap_or(DEFAULT_TIMEOUT)
            .min(LONGEST_TIMEOUT);
        let lease = time(row.as_ref().and_then(|row| row.lease_ms)).unwrap_or(timeout);
        let unknown = || CallError::new(Fault::BadRequest, "the provider's row is gone");
        let shape = row.ok_or_else(unknown).and_then(RequestShape::try_from);
        Self {
            name: name.into(),
            instruments,
            timeout,
            lease,
            shape,
        }
    }
}

impl TryFrom<ProviderRow> for RequestShape {
    type Error = CallError;

    fn try_from(row: ProviderRow) -> Result<Self, CallError> {
        let refuse = |detail: &str| CallError::new(Fault::BadRequest, detail);
        let method = Method::from_bytes(row.method.as_deref().unwrap_or("GET").as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| refuse("the provider's method can't be used"))?;
        let auth = match row.auth {
            None | Some(Value::Null) => Auth::none(),
            Some(auth) => Auth::parse(auth)
                .map_err(|error| refuse(&format!("the provider's auth: {error}")))?,
        };
        let headers = match row.own_headers {
            true => None,
            false => Some(header_map(row.headers.as_ref())?),
        };
        Ok(Self {
            method,
            headers,
            own_body: row.own_body,
            auth,
        })
    }
}

/// Headers from an object of texts; none are no headers.
pub(crate) fn header_map(headers: Option<&Value>) -> Result<HeaderMap, CallError> {
    let refuse = |detail: String| Err(CallError::new(Fault::BadRequest, detail));
    let headers = match headers {
        None | Some(Value::Null) => return Ok(HeaderMap::new()),
        Some(Value::Object(headers)) => headers,
        Some(_) => return refuse("headers are not an object".to_owned()),
    };
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let Ok(header) = HeaderName::try_from(name) else {
            return refuse(format!("{name:?} is no name for a header"));
        };
        if OF_THE_TRANSPORT.contains(&header.as_str()) {
            return refuse(format!("the header {header} is not the provider's to set"));
        }
        let Some(Ok(value)) = value.as_str().map(HeaderValue::from_str) else {
            return refuse(format!(
                "the header {header} has a value that can't be sent"
            ));
        };
        map.insert(header, value);
    }
    Ok(map)
}

/// The profiles in use.
#[derive(Default)]
pub(crate) struct Profiles(HashMap<String, CachedProfiles>);

struct CachedProfiles {
    instruments: Arc<ProviderInstruments>,
    versions: Vec<(ProviderVersion, Instant, Arc<Profile>)>,
}

impl Profiles {
    /// The profile, unless it was never fetched or has to be fetched again.
    pub(crate) fn get(&self, provider: &str, version: ProviderVersion) -> Option<Arc<Profile>> {
        let versions = &self.0.get(provider)?.versions;
        let fresh = |known: &&(ProviderVersion, Instant, _)| {
            known.0 == version && known.1.elapsed() < CACHED_FOR
        };
        versions
            .iter()
            .find(fresh)
            .map(|known| Arc::clone(&known.2))
    }

    /// Keeps what was fetched, and drops what is old.
    pub(crate) fn insert(
        &mut self,
        provider: &str,
        version: ProviderVersion,
        row: Option<ProviderRow>,
    ) -> Arc<Profile> {
        let known = self
            .0
            .entry(provider.to_owned())
            .or_insert_with(|| CachedProfiles {
                instruments: Arc::new(ProviderInstruments::of(provider)),
                versions: Vec::new(),
            });
        let profile = Arc::new(Profile::new(provider, row, Arc::clone(&known.instruments)));
        known
            .versions
            .retain(|old| old.0 != version && old.1.elapsed() < CACHED_FOR);
        known
            .versions
            .push((version, Instant::now(), Arc::clone(&profile)));
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn headers() {
        let read = |headers: Value| header_map(Some(&headers)).map_err(|error| error.fault);
        assert_eq!(read(json!({"X-A": "1", "x-b": ""})).unwrap().len(), 2);
        assert!(read(Value::Null).unwrap().is_empty());
        for bad in [
            json!([]),
            json!({"X-A": 1}),
            json!({"X A": "1"}),
            json!({"X-A": "1\r\nX-B: 2"}),
            json!({"Host": "other"}),
            json!({"transfer-encoding": "chunked"}),
        ] {
            assert_eq!(read(bad.clone()), Err(Fault::BadRequest), "{bad}");
        }
    }

    #[test]
    fn an_auth_that_can_not_be_used_says_why() {
        let shape = |auth: Value| {
            RequestShape::try_from(ProviderRow {
                method: None,
                headers: None,
                auth: Some(auth),
                timeout_ms: None,
                lease_ms: None,
                own_headers: false,
                own_body: false,
            })
        };
        assert!(shape(Value::Null).is_ok());
        for (auth, why) in [
            (json!({"kind": "magic"}), "\"magic\" is not a kind"),
            (
                json!({"kind": "bearer", "secret": "A", "newer": 1}),
                "unknown field `newer`",
            ),
            (
                json!({"kind": "hmac", "secret": "A", "header": "X", "signs": "{nonce}"}),
                "signs: it names {nonce}",
            ),
        ] {
            let error = shape(auth).unwrap_err();
            assert_eq!(error.fault, Fault::BadRequest);
            assert!(error.detail.contains(why), "{}", error.detail);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_profile_is_fetched_again_after_a_minute() {
        let mut profiles = Profiles::default();
        let asked = |version, by_order_number| ProviderVersion {
            version,
            by_order_number,
        };
        assert!(profiles.get("p", asked(1, false)).is_none());
        assert!(profiles.insert("p", asked(1, false), None).shape.is_err());
        assert!(profiles.get("p", asked(1, false)).is_some());
        assert!(profiles.get("p", asked(1, true)).is_none());
        assert!(profiles.get("p", asked(2, false)).is_none());
        tokio::time::advance(CACHED_FOR).await;
        assert!(profiles.get("p", asked(1, false)).is_none());
        profiles.insert("p", asked(2, false), None);
        assert_eq!(profiles.0["p"].versions.len(), 1);
    }
}
