//! Why a connection could not be secured, in words for whoever has to mend it. Owns these sentences;
//! what is trusted is the HTTP client's to say.

use rustls::{AlertDescription, CertificateError, Error};

/// A sentence in place of the library's, which speaks of its own types.
pub(crate) fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(problem) => of_the_certificate(problem),
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::AlertReceived(alert) => of_its_refusal(*alert).to_owned(),
        Error::PeerIncompatible(_) => {
            "it has no version of TLS (1.2, 1.3) or no cipher in common with the sidecar".to_owned()
        }
        Error::InvalidMessage(_) => {
            "what it speaks is no TLS: is it http, or the port of another service?".to_owned()
        }
        _ => "no secure connection could be made".to_owned(),
    }
}

fn of_the_certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: is this machine's clock right?".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "its certificate is from an authority that is not trusted here: RECONCILE_CA_FILE names others".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "its certificate is not for {}, but for {}",
            expected.to_str(),
            names(presented)
        ),
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        CertificateError::BadSignature => "its certificate's signature is wrong".to_owned(),
        _ => "its certificate is not one that can be trusted".to_owned(),
    }
}

/// The names of a certificate, which come as `DnsName("shop.example")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let quoted = name
            .split_once('"')
            .and_then(|(_, rest)| rest.rsplit_once('"'));
        quoted.map_or_else(|| name.clone(), |(bare, _)| bare.to_owned())
    };
    let named: Vec<_> = presented.iter().take(3).map(bare).collect();
    if named.is_empty() {
        "no name at all".to_owned()
    } else {
        named.join(", ")
    }
}

const fn of_its_refusal(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::HandshakeFailure
        | AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity => {
            "it refuses the connection: no version of TLS (1.2, 1.3) or no cipher in common"
        }
        AlertDescription::CertificateRequired
        | AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            "it refuses the connection: it wants a certificate of the sidecar, which has none"
        }
        AlertDescription::UnrecognisedName => {
            "it refuses the connection: it does not know this host name"
        }
        _ => "it refuses the secure connection",
    }
}
