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

use crate::database_url::Protection;

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
    protection: Protection,
    extra_authorities: Option<&[u8]>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let trust: Trust = match protection {
        Protection::VerifyFull | Protection::VerifyCa => {
            let roots = Arc::new(roots(extra_authorities)?);
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?;
            if protection == Protection::VerifyFull {
                Trust::Full(verifier)
            } else {
                Trust::Authority(verifier)
            }
        }
        _ => Trust::Anybody,
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { trust, provider }))
        .with_no_client_auth())
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
