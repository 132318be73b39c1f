//! Certificates and keys of probes: they can be used, today.

use std::time::SystemTime;

use jiff::Timestamp;

use super::Check;
use crate::experiment::certificate::{self, Validity};
use crate::experiment::decode::known;
use crate::experiment::schema::ClientCertificate;
use crate::timeline::Secret;

pub(super) fn check(check: &Check) {
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    for (index, probe) in known(&check.draft.probes) {
        let Some(settings) = probe.ask.tls_settings() else { continue };
        let at = |field: &str| format!("spec.probes[{index}].{}.{field}", probe.ask.kind());
        let report = |field: &str, why: String| check.report(check.error(&at(field), why));
        // The name of a file in the place of what it holds.
        let file_meant = |pem: &str| {
            let is_name = !pem.contains(['\n', ' ']) && !pem.starts_with('-');
            is_name.then(|| format!("did you mean `{{file: {pem}}}`?"))
        };
        // What could not be read is reported already, and empty.
        let usable = |field: &str, pem: &str| {
            if pem.trim().is_empty() {
                return None;
            }
            // One that is valid is enough to vouch; a client's chain is needed as a whole.
            let found = certificate::chain(pem).and_then(|chain| {
                let most = if field == "ca" { chain.len() - 1 } else { 0 };
                let outdated = outdated(&chain, now);
                let is_usable = outdated.len() <= most;
                outdated.into_iter().next().filter(|_| !is_usable).map_or(Ok(chain), Err)
            });
            let hint = |why: &str| file_meant(pem).filter(|_| why == certificate::NONE);
            let problem = |why: String| check.error(&at(field), &why).hint_if(hint(&why));
            found.map_err(|why| check.report(problem(why))).ok()
        };
        if let Some(ca) = &settings.ca
            && let Some(chain) = usable("ca", &ca.text)
            && let Err(why) = certificate::roots(&chain)
        {
            report("ca", why);
        }
        if let Some(ClientCertificate { certificate, key: Secret(key), .. }) = &settings.client
            && let Some(chain) = usable("clientCertificate", &certificate.text)
            && !key.trim().is_empty()
            && let Err(why) = certificate::pair(chain, key)
        {
            report("clientKey", why);
        }
    }
}

/// What is wrong with those that are not valid now.
fn outdated(chain: &[Vec<u8>], now: Timestamp) -> Vec<String> {
    let all = chain.iter().filter_map(|der| certificate::validity(der));
    let problem = |Validity { from, to }: Validity| match () {
        () if now > to => Some(format!("the certificate expired at {to}")),
        () if now < from => Some(format!("the certificate is not valid before {from}")),
        () => None,
    };
    all.filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::changed;

    const CERTIFICATE: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/experiment/testdata/client.pem");
    const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/experiment/testdata/client.key");
    const EXPIRED: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/experiment/testdata/expired.pem");

    fn problems(settings: &str) -> String {
        let http = format!("http: {{service: web, tls: true, {settings}}}");
        changed("http: {service: web, path: /}", &http)
    }

    #[test]
    fn certificates_that_cannot_be_used_are_reported_where_they_are_named() {
        let pair = |certificate: &str, key: &str| {
            problems(&format!(
                "clientCertificate: {{file: {certificate}}}, clientKey: {{file: {key}}}"
            ))
        };
        assert_eq!(problems(&format!("ca: {{file: {CERTIFICATE}}}")), "");
        assert_eq!(pair(CERTIFICATE, KEY), "");
        let named = problems("ca: c1.pem");
        assert!(named.contains("found none (did you mean `{file: c1.pem}`?)"), "{named}");
        let expired = problems(&format!("ca: {{file: {EXPIRED}}}"));
        assert!(
            expired.contains("11:41: error: the certificate expired at 2021-01-02T00:00:00Z"),
            "{expired}"
        );
        let swapped = pair(KEY, CERTIFICATE);
        assert!(swapped.contains("error: expected a certificate in PEM"), "{swapped}");
        let other = pair(EXPIRED.trim(), KEY);
        assert!(other.contains("the certificate expired"), "{other}");
        let absent = problems("ca: {file: nowhere.pem}");
        assert!(absent.contains("error: cannot read nowhere.pem: no such file"), "{absent}");
        assert_eq!(absent.lines().count(), 1, "{absent}");
    }

    #[test]
    fn a_body_that_is_the_name_of_a_file_is_a_warning() {
        let body = |text: &str| problems(&format!("method: POST, body: {text}"));
        let named = body(CERTIFICATE);
        assert!(named.contains("warning: the body is the name of a file"), "{named}");
        assert!(named.contains(&format!("did you mean `{{file: {CERTIFICATE}}}`?")), "{named}");
        assert_eq!(body("nowhere.json"), "");
    }

    #[test]
    fn one_valid_certificate_is_enough_to_vouch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("both.pem");
        let both = [CERTIFICATE, EXPIRED].map(|path| std::fs::read_to_string(path).unwrap());
        std::fs::write(&path, both.concat()).unwrap();
        let both = path.display();
        assert_eq!(problems(&format!("ca: {{file: {both}}}")), "");
        let client =
            problems(&format!("clientCertificate: {{file: {both}}}, clientKey: {{file: {KEY}}}"));
        assert!(client.contains("the certificate expired"), "{client}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let other = concat!(env!("CARGO_MANIFEST_DIR"), "/src/experiment/testdata/other.key");
        let wrong = problems(&format!(
            "clientCertificate: {{file: {CERTIFICATE}}}, clientKey: {{file: {other}}}"
        ));
        assert!(
            wrong.contains("error: the key does not belong to the client's certificate"),
            "{wrong}"
        );
        let wrong = problems(&format!("clientKey: {{file: {KEY}}}"));
        assert!(wrong.contains("needs `clientCertificate`"), "{wrong}");
    }
}
