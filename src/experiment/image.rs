//! References of container images, as a container runtime reads them
//! (https://github.com/distribution/reference).

use super::decode::fields::Cx;
use super::decode::scalar::text;
use super::tree::{Node, quoted};

/// An image in a file.
pub(super) fn image(cx: &Cx, node: &Node) -> Option<String> {
    let found = text(cx, node)?;
    match typed_image(&found) {
        Ok(image) => Some(image),
        Err(why) => {
            let message = format!("{} is not an image: {why}", quoted(&found));
            cx.error_hint(node.focus(), message, "such as `docker.io/library/busybox:1.37`")
        }
    }
}

/// An image that was typed. Errors say what is wrong.
pub(crate) fn typed_image(text: &str) -> Result<String, String> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let hex =
        |hex: &str| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digest.is_some_and(|digest| !digest.strip_prefix("sha256:").is_some_and(hex)) {
        return Err("after `@` goes `sha256:` and 64 hexadecimal digits".into());
    }
    // The colon of a registry's port is followed by a path.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let tag_char = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_tag = |tag: &str| {
        (1..=128).contains(&tag.len()) && tag.chars().all(tag_char) && !tag.starts_with(['.', '-'])
    };
    if !tag.is_none_or(is_tag) {
        return Err("a tag has letters, digits, `_`, `.` and `-`".into());
    }
    let (registry, path) = split_registry(name);
    let host_char = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if registry.is_some_and(|registry| registry.is_empty() || !registry.chars().all(host_char)) {
        return Err("the registry is a host name, and perhaps a port".into());
    }
    let part_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    let edge = |c: char| "_.-".contains(c);
    let is_part = |part: &str| {
        !part.is_empty()
            && part.chars().all(part_char)
            && !part.starts_with(edge)
            && !part.ends_with(edge)
    };
    match path.split('/').all(is_part) {
        true => Ok(text.to_owned()),
        false if path.chars().any(|c| c.is_ascii_uppercase()) => {
            Err("its name must be lowercase".into())
        }
        false if path.is_empty() => Err("it has no name".into()),
        false => Err("its name has a-z, 0-9, `_`, `.`, `-` and `/` alone".into()),
    }
}

/// The first part is a registry where it cannot be part of a name on Docker Hub.
fn split_registry(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), path)
        }
        _ => (None, name),
    }
}

/// The same with all that a container runtime adds: what a node lists.
pub(crate) fn full_image(image: &str) -> String {
    let (registry, path) = split_registry(image);
    let named = match registry {
        Some(_) => image.to_owned(),
        None if path.contains('/') => format!("docker.io/{path}"),
        None => format!("docker.io/library/{path}"),
    };
    let last = named.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { named } else { format!("{named}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_a_runtime_does() {
        let digest = format!("a@sha256:{}", "0f".repeat(32));
        for good in [
            "busybox",
            "busybox:1.37",
            "localhost/a",
            "registry.example.com:5000/team/helper_a:v1.2-rc.1",
            &digest,
        ] {
            assert_eq!(typed_image(good).as_deref(), Ok(good));
        }
        for (bad, why) in [
            ("", "no name"),
            ("Busybox", "lowercase"),
            ("busybox:", "a tag has"),
            ("busybox:1 37", "a tag has"),
            ("bus ybox", "its name has"),
            ("https://docker.io/busybox", "its name has"),
            ("busybox@sha256:12", "64 hexadecimal digits"),
            ("a//b", "its name has"),
            ("re gistry.com/b", "registry"),
        ] {
            let error = typed_image(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn a_short_name_is_completed() {
        assert_eq!(full_image("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(full_image("team/helper:1"), "docker.io/team/helper:1");
        assert_eq!(full_image("ghcr.io/a/b:1"), "ghcr.io/a/b:1");
    }
}
