//! JSON lines that carry a checksum: a changed byte is found when the line is read, and so is a line
//! that is missing, moved or duplicated.
//!
//! The checksum is the CRC-32 of the line up to its own field, which is the last one. It starts from
//! the checksum of the line before; of a first line, from 0.

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

/// An object as a line, with its checksum and a line break. `previous` is the checksum of the line
/// before it, and becomes that of this line.
pub(super) fn write(value: &impl Serialize, previous: &mut u32) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    debug_assert!(line.ends_with(b"}") && line.len() > 2, "an object with fields");
    line.pop();
    *previous = hash(*previous, &line);
    line.extend_from_slice(format!("{FIELD}{previous:08x}{END}\n").as_bytes());
    Ok(line)
}

/// Checks a line that follows one with the checksum `previous`.
pub(super) fn check(line: &[u8], previous: u32) -> Checksum {
    match split(line) {
        None => Checksum::Missing,
        Some((text, digits)) if digits == format!("{:08x}", hash(previous, text)).as_bytes() => {
            Checksum::Good
        }
        Some(_) => Checksum::Bad,
    }
}

/// The checksum that a line carries, whether or not it is right: that of the next one starts there.
pub(super) fn carried(line: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(split(line)?.1).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

fn hash(previous: u32, text: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(previous);
    hasher.update(text);
    hasher.finalize()
}

/// A line's text, and the digits of its checksum.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (text, field) = line.split_at_checked(line.len().checked_sub(LENGTH)?)?;
    Some((text, field.strip_prefix(FIELD.as_bytes())?.strip_suffix(END.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_found() {
        let mut last = 7;
        let line = write(&serde_json::json!({"at": 12, "text": "a"}), &mut last).unwrap();
        assert_eq!((check(&line, 7), carried(&line)), (Checksum::Good, Some(last)));
        assert_eq!(check(&line, 6), Checksum::Bad, "it follows another line");
        let parsed: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(parsed["at"], 12);
        for at in 0..line.len() - 1 {
            for bit in 0..8 {
                let mut changed = line.clone();
                changed[at] ^= 1 << bit;
                assert_ne!(check(&changed, 7), Checksum::Good, "byte {at}, bit {bit}");
            }
        }
        assert_eq!(check(b"{\"at\":12}\n", 0), Checksum::Missing);
    }
}
