//! Certificates and keys, as PEM.

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Why a text has no certificate.
pub(crate) const NONE: &str =
    "expected a certificate in PEM (`-----BEGIN CERTIFICATE-----`), found none";

/// The certificates of a PEM text, as DER: at least one.
pub(crate) fn chain(pem: &str) -> Result<Vec<Vec<u8>>, String> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes());
    match found.map(|der| der.map(|der| der.to_vec())).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(NONE.into()),
        Err(_) => Err("the certificate is not valid PEM".into()),
    }
}

/// A private key of a PEM text, as DER.
pub(crate) fn key(pem: &str) -> Result<Vec<u8>, String> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map(|key| key.secret_der().to_vec())
        .map_err(|_| "expected a private key in PEM, without a passphrase, found none".into())
}

/// Errors when one of them can vouch for nothing.
pub(crate) fn roots(chain: &[Vec<u8>]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    let mut added = chain.iter().map(|der| roots.add(CertificateDer::from(der.as_slice())));
    added.try_for_each(|added| {
        added.map_err(|why| format!("the certificate cannot be used as a CA: {why}"))
    })
}

/// Errors when a client cannot show the certificates with this key.
pub(crate) fn pair(chain: Vec<Vec<u8>>, pem: &str) -> Result<(), String> {
    let key = PrivateKeyDer::try_from(key(pem)?)
        .map_err(|why| format!("the key cannot be used: {why}"))?;
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err("the key does not belong to the client's certificate".into())
        }
        Err(why) => Err(format!("the client's certificate or key cannot be used: {why}")),
    }
}

/// When a certificate is valid.
pub(super) struct Validity {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// When a certificate (DER) is valid; `None`: that can't be read.
pub(super) fn validity(der: &[u8]) -> Option<Validity> {
    let certificate = Element::first(der)?.content;
    let mut fields = Element::first(certificate)?.content;
    // Its version may be left out.
    if Element::first(fields)?.tag == EXPLICIT_VERSION {
        fields = Element::first(fields)?.rest;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = Element::first(fields)?.rest;
    }
    let from = Element::first(Element::first(fields)?.content)?;
    let to = Element::first(from.rest)?;
    Some(Validity { from: from.time()?, to: to.time()? })
}

const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;

/// An element of DER, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn first(der: &'a [u8]) -> Option<Self> {
        let (&tag, der) = der.split_first()?;
        let (&first, der) = der.split_first()?;
        let (length, der) = match first {
            0..=0x7f => (usize::from(first), der),
            _ => {
                let (digits, der) = der.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits.iter().try_fold(0usize, |length, digit| {
                    length.checked_mul(256)?.checked_add(usize::from(*digit))
                });
                (length?, der)
            }
        };
        let (content, rest) = der.split_at_checked(length)?;
        Some(Self { tag, content, rest })
    }

    /// `YYMMDDhhmmssZ`, or with four digits of the year.
    fn time(&self) -> Option<Timestamp> {
        let text = std::str::from_utf8(self.content).ok()?;
        let text = match self.tag {
            UTC_TIME if text < "50" => format!("20{text}"),
            UTC_TIME => format!("19{text}"),
            _ => text.to_owned(),
        };
        let (day, time) = text.split_at_checked(8)?;
        format!("{day}T{time}").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_when_it_is_valid() {
        for pem in [include_str!("testdata/client.pem"), include_str!("testdata/expired.pem")] {
            let Validity { from, to } = validity(&chain(pem).unwrap()[0]).unwrap();
            assert!(from < to, "{from} {to}");
        }
        let expired = validity(&chain(include_str!("testdata/expired.pem")).unwrap()[0]).unwrap();
        assert_eq!(expired.to.to_string(), "2021-01-02T00:00:00Z");
        assert!(validity(b"\x30\x84\xff\xff\xff\xff").is_none());
        assert!(validity(&[0x30, 0x80]).is_none());
    }

    #[test]
    fn what_is_no_certificate_or_key_is_refused() {
        assert!(chain("hello").unwrap_err().starts_with("expected a certificate in PEM"));
        assert!(key(include_str!("testdata/client.pem")).is_err());
        assert!(key(include_str!("testdata/client.key")).is_ok());
    }
}
