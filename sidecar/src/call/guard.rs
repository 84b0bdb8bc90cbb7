//! Owns the decision whether a URL may be asked, by its scheme, host and port. What a name resolves
//! to is checked by the resolver, at the moment of the connection. Never opens a connection.

use std::{fmt, net::IpAddr, str::FromStr};

use url::{Host, Url};

use crate::call::{
    fault::{CallError, Fault},
    special_purpose::is_public,
};

/// Which client makes the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Any host, over https, at a public address.
    Public,
    /// A host that the operator listed: http is fine, and so is a private address.
    Listed,
}

/// The hosts that the operator of the sidecar trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AllowList(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: Host,
    /// None means any port.
    port: Option<u16>,
}

impl AllowList {
    /// The way that a call to `url` has to take, or why there is none.
    pub(crate) fn route(&self, url: &Url) -> Result<Route, CallError> {
        let blocked = |detail: &str| Err(CallError::new(Fault::Blocked, detail));
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CallError::new(
                Fault::BadRequest,
                "the URL holds credentials: name a secret instead",
            ));
        }
        if !matches!(url.scheme(), "https" | "http") {
            return blocked("the URL is neither https nor http");
        }
        let Some(host) = url.host() else {
            return blocked("the URL names no host");
        };
        let host = without_final_dot(host.to_owned());
        if self.lists(&host, url.port_or_known_default()) {
            return Ok(Route::Listed);
        }
        if url.scheme() == "http" {
            return blocked("plain http to a host that RECONCILE_ALLOW_HOSTS doesn't list");
        }
        // The HTTP client connects to an address without asking the resolver, so it's checked here.
        let address: Option<IpAddr> = match host {
            Host::Domain(_) => None,
            Host::Ipv4(v4) => Some(v4.into()),
            Host::Ipv6(v6) => Some(v6.into()),
        };
        if address.is_some_and(|address| !is_public(address)) {
            return blocked(
                "an address that isn't public and that RECONCILE_ALLOW_HOSTS doesn't list",
            );
        }
        Ok(Route::Public)
    }

    /// Whether the list names the URL's host and port.
    pub(crate) fn includes(&self, url: &Url) -> bool {
        url.host().is_some_and(|host| {
            let host = without_final_dot(host.to_owned());
            self.lists(&host, url.port_or_known_default())
        })
    }

    fn lists(&self, host: &Host, port: Option<u16>) -> bool {
        self.0
            .iter()
            .any(|entry| entry.host == *host && (entry.port.is_none() || entry.port == port))
    }
}

impl FromStr for AllowList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(formatter, "{comma}{}", entry.host)?;
            if let Some(port) = entry.port {
                write!(formatter, ":{port}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is neither a host nor host:port");
        // Colons are ambiguous in an IPv6 address, unless it's in brackets.
        let bare_v6 = text.parse::<std::net::Ipv6Addr>().ok();
        if let Some(v6) = bare_v6 {
            return Ok(Self {
                host: Host::Ipv6(v6),
                port: None,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port
                    .parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or_else(refuse)?;
                (host, Some(port))
            }
            _ => (text, None),
        };
        let host = Host::parse(host).map_err(|_| refuse())?;
        Ok(Self {
            host: without_final_dot(host),
            port,
        })
    }
}

/// `vendor.internal.` and `vendor.internal` are one host.
fn without_final_dot(host: Host) -> Host {
    match host {
        Host::Domain(name) => {
            Host::Domain(name.strip_suffix('.').map(str::to_owned).unwrap_or(name))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(listed: &str, url: &str) -> Result<Route, Fault> {
        let list: AllowList = listed.parse().unwrap();
        list.route(&url.parse().unwrap())
            .map_err(|error| error.fault)
    }

    #[test]
    fn unlisted_hosts_need_https_and_a_public_address() {
        assert_eq!(route("", "https://api.example.com/x"), Ok(Route::Public));
        assert_eq!(route("", "https://1.1.1.1/x"), Ok(Route::Public));
        for url in [
            "http://api.example.com/",
            "http://1.1.1.1/",
            "ftp://api.example.com/",
            "file:///etc/passwd",
            "https://127.0.0.1/",
            "https://10.1.2.3:8443/",
            "https://169.254.169.254/latest/meta-data",
            "https://192.168.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://0/",
            "https://127.0.0.1./",
            "https://%31%32%37.0.0.1/",
            "https://１２７.0.0.1/",
        ] {
            assert_eq!(route("", url), Err(Fault::Blocked), "{url}");
        }
    }

    #[test]
    fn a_listed_host_may_be_http_and_private() {
        assert_eq!(
            route("127.0.0.1", "http://127.0.0.1:8080/"),
            Ok(Route::Listed)
        );
        assert_eq!(
            route("Vendor.Internal", "http://vendor.internal/"),
            Ok(Route::Listed)
        );
        assert_eq!(
            route("vendor.internal", "http://VENDOR.internal.:99/"),
            Ok(Route::Listed)
        );
        assert_eq!(
            route("a, [::1]:8080 ,b", "http://[::1]:8080/"),
            Ok(Route::Listed)
        );
        assert_eq!(route("::1", "http://[0:0:0:0:0:0:0:1]/"), Ok(Route::Listed));
        assert_eq!(route("127.0.0.1", "http://2130706433/"), Ok(Route::Listed));
    }

    #[test]
    fn a_listed_port_opens_no_other() {
        let listed = "127.0.0.1:8080,vendor.internal:443";
        assert_eq!(route(listed, "http://127.0.0.1:8080/"), Ok(Route::Listed));
        assert_eq!(route(listed, "http://127.0.0.1:8081/"), Err(Fault::Blocked));
        assert_eq!(route(listed, "https://127.0.0.1/"), Err(Fault::Blocked));
        assert_eq!(route(listed, "https://vendor.internal/"), Ok(Route::Listed));
        assert_eq!(
            route(listed, "http://vendor.internal/"),
            Err(Fault::Blocked)
        );
        // Not listed on this port: the public way, where the resolver checks the address.
        assert_eq!(
            route(listed, "https://vendor.internal:8443/"),
            Ok(Route::Public)
        );
        assert_eq!(
            route(listed, "http://notvendor.internal/"),
            Err(Fault::Blocked)
        );
        assert_eq!(
            route(listed, "http://vendor.internal.evil.example/"),
            Err(Fault::Blocked)
        );
    }

    #[test]
    fn credentials_are_refused_even_for_listed_hosts() {
        assert_eq!(route("h", "http://u:p@h/"), Err(Fault::BadRequest));
        assert_eq!(route("h", "http://u@h/"), Err(Fault::BadRequest));
        assert_eq!(
            route("trusted", "https://trusted@10.0.0.1/"),
            Err(Fault::BadRequest)
        );
    }

    #[test]
    fn a_list_is_shown_as_it_is_written() {
        let list: AllowList = "A.b., [::1]:80,127.1".parse().unwrap();
        assert_eq!(list.to_string(), "a.b,[::1]:80,127.0.0.1");
    }

    #[test]
    fn bad_lists_are_refused() {
        for text in [
            "host:0",
            "host:99999",
            "host:http",
            "http://host",
            "ho st",
            ":80",
        ] {
            assert!(text.parse::<AllowList>().is_err(), "{text}");
        }
    }
}
