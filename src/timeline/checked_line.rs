//! JSON lines that carry a checksum: a changed byte is found when the line is read.
//!
//! The checksum is the CRC-32 of the line up to its own field, which is the last one.

use serde::Serialize;

const FIELD: &str = ",\"crc32\":\"";
const END: &str = "\"}";
/// `,"crc32":"0123abcd"}`.
const LENGTH: usize = FIELD.len() + 8 + END.len();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    Good,
    Bad,
    Missing,
}

/// An object as a line, with its checksum and a line break.
pub(super) fn write(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    debug_assert!(line.ends_with(b"}") && line.len() > 2, "an object with fields");
    line.pop();
    let checksum = crc32fast::hash(&line);
    line.extend_from_slice(format!("{FIELD}{checksum:08x}{END}\n").as_bytes());
    Ok(line)
}

pub(super) fn check(line: &[u8]) -> Checksum {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (text, field) = line.split_at(line.len().saturating_sub(LENGTH));
    let digits = field
        .strip_prefix(FIELD.as_bytes())
        .and_then(|field| field.strip_suffix(END.as_bytes()))
        .and_then(|digits| std::str::from_utf8(digits).ok());
    match digits {
        None => Checksum::Missing,
        Some(digits) if digits == format!("{:08x}", crc32fast::hash(text)) => Checksum::Good,
        Some(_) => Checksum::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_found() {
        let line = write(&serde_json::json!({"at": 12, "text": "a"})).unwrap();
        assert_eq!(check(&line), Checksum::Good);
        let parsed: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(parsed["at"], 12);
        for at in 0..line.len() - 1 {
            for bit in 0..8 {
                let mut changed = line.clone();
                changed[at] ^= 1 << bit;
                assert_ne!(check(&changed), Checksum::Good, "byte {at}, bit {bit}");
            }
        }
        assert_eq!(check(b"{\"at\":12}\n"), Checksum::Missing);
    }
}
