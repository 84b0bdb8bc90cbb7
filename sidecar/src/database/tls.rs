//! Owns TLS towards PostgreSQL: whom to trust for each sslmode. Providers get the HTTP client's own
//! set-up, which always verifies.

use std::{fs, io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::database::url::TlsMode;

/// TLS that can't be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The file isn't there or not for us.
    #[error("RECONCILE_CA_FILE can't be read: {0}")]
    File(#[from] io::Error),
    /// The file is no PEM, or holds no certificate.
    #[error("RECONCILE_CA_FILE holds no usable certificate")]
    Certificate,
    /// Anything else.
    #[error("TLS can't be set up: {0}")]
    Setup(#[from] Error),
}

/// The extra authorities' file, which has to hold at least one certificate.
pub(crate) fn read_authorities(file: &Path) -> Result<Vec<u8>, TlsError> {
    let pem = fs::read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(TlsError::Certificate),
    }
}

/// The configuration for connections that are protected in this way.
pub(crate) fn client_config(
    tls_mode: TlsMode,
    extra_authorities: Option<&[u8]>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let trust = trust(tls_mode, extra_authorities, &provider)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { trust, provider }))
        .with_no_client_auth())
}

fn trust(
    tls_mode: TlsMode,
    extra_authorities: Option<&[u8]>,
    provider: &Arc<CryptoProvider>,
) -> Result<Trust, TlsError> {
    let verifier = || {
        let roots = Arc::new(roots(extra_authorities)?);
        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|error| TlsError::Setup(Error::General(error.to_string())))
    };
    match tls_mode {
        TlsMode::VerifyFull => verifier().map(Trust::Full),
        TlsMode::VerifyCa => verifier().map(Trust::Authority),
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Ok(Trust::Anybody),
    }
}

fn roots(extra: Option<&[u8]>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in CertificateDer::pem_slice_iter(extra.unwrap_or_default()) {
        roots.add(certificate.map_err(|_| TlsError::Certificate)?)?;
    }
    Ok(roots)
}

#[derive(Debug)]
enum Trust {
    Full(Arc<WebPkiServerVerifier>),
    Authority(Arc<WebPkiServerVerifier>),
    Anybody,
}

/// Checks a server's certificate as far as sslmode asks for; that the server holds its key, always.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Full(full) => {
                full.verify_server_cert(certificate, intermediates, name, ocsp, now)
            }
            Trust::Authority(full) => {
                match full.verify_server_cert(certificate, intermediates, name, ocsp, now) {
                    // The name is checked last, so everything else is in order.
                    Err(Error::InvalidCertificate(
                        CertificateError::NotValidForName
                        | CertificateError::NotValidForNameContext { .. },
                    )) => Ok(ServerCertVerified::assertion()),
                    verdict => verdict,
                }
            }
            Trust::Anybody => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

    struct Server {
        authority: Vec<u8>,
        certificate: CertificateDer<'static>,
    }

    fn server(name: &str) -> Server {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        Server {
            authority: issuer.pem().into_bytes(),
            certificate: certificate.der().clone(),
        }
    }

    fn accepts(tls_mode: TlsMode, server: &Server, extra: Option<&[u8]>, name: &str) -> bool {
        let provider = Arc::new(ring::default_provider());
        let trust = trust(tls_mode, extra, &provider).unwrap();
        let name = ServerName::try_from(name).unwrap();
        Verifier { trust, provider }
            .verify_server_cert(&server.certificate, &[], &name, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn each_sslmode_trusts_as_much_as_it_says() {
        use TlsMode::{Prefer, Require, VerifyCa, VerifyFull};
        let server = server("db.internal");
        let ours = Some(server.authority.as_slice());
        for (tls_mode, extra, name, expected) in [
            (VerifyFull, ours, "db.internal", true),
            (VerifyFull, ours, "other.internal", false),
            (VerifyFull, ours, "10.0.0.1", false),
            (VerifyFull, None, "db.internal", false),
            (VerifyCa, ours, "other.internal", true),
            (VerifyCa, None, "db.internal", false),
            (Require, None, "other.internal", true),
            (Prefer, None, "other.internal", true),
        ] {
            assert_eq!(
                accepts(tls_mode, &server, extra, name),
                expected,
                "{tls_mode:?} {name}"
            );
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        assert!(matches!(read_authorities(&file), Err(TlsError::File(_))));
        std::fs::write(&file, "no certificate").unwrap();
        assert!(matches!(
            read_authorities(&file),
            Err(TlsError::Certificate)
        ));
        std::fs::write(&file, server("x").authority).unwrap();
        assert!(read_authorities(&file).is_ok());
    }
}
