//! HPACK (RFC 7541) without a dynamic table, which each side may forbid: header fields as literals
//! when they are sent, and all that the other side may then send.
//!
//! It is not a crate's: those that have nothing else in them are no longer maintained, or bring a
//! second version of a dependency, and the one in `h2` is private.

use std::sync::LazyLock;

use super::Malformed;

/// The names of Appendix A, from index 1.
const NAMES: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];
/// The values that answers have there, from index 8. Those of requests are not needed.
const STATUSES: [&str; 7] = ["200", "204", "206", "304", "400", "404", "500"];
const FIRST_STATUS: usize = 8;

/// The length of each byte's Huffman code (Appendix B) as a letter: `A` is 5. The codes are
/// canonical: they count up by length, and within a length by byte.
const LENGTHS: &[u8; 256] = b"ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHF\
IBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACCBBBABCBAABCCCCCKGJIX\
PRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRS\
VVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWV";
const LONGEST: usize = 30;

fn code_length(byte: u8) -> usize {
    usize::from(LENGTHS[usize::from(byte)] - b'A') + 5
}

/// All bytes, in the order of their codes.
static BY_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.sort_by_key(|&byte| code_length(byte));
    bytes
});
/// How many codes have a length.
static COUNTS: LazyLock<[usize; LONGEST + 1]> = LazyLock::new(|| {
    let mut counts = [0; LONGEST + 1];
    (0..=255).for_each(|byte| counts[code_length(byte)] += 1);
    counts
});

/// Appends a field.
pub(crate) fn write(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        let mut length = text.len();
        if length < 0x7f {
            block.push(length as u8);
        } else {
            block.push(0x7f);
            length -= 0x7f;
            while length >= 0x80 {
                block.push(length as u8 | 0x80);
                length >>= 7;
            }
            block.push(length as u8);
        }
        block.extend_from_slice(text.as_bytes());
    }
}

/// Gives the names and values of a whole block, one after the other.
pub(crate) fn read(mut block: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> Result<(), Malformed> {
    while let Some(&first) = block.first() {
        match first {
            0x80.. => {
                let index = integer(&mut block, 7)?;
                let status = index.checked_sub(FIRST_STATUS).and_then(|n| STATUSES.get(n));
                field(name(index)?.as_bytes(), status.unwrap_or(&"").as_bytes());
            }
            // The size of the dynamic table, which stays empty.
            0x20..0x40 => {
                integer(&mut block, 5)?;
            }
            _ => {
                let index = integer(&mut block, if first & 0x40 == 0 { 4 } else { 6 })?;
                let name = if index == 0 { string(&mut block)? } else { name(index)?.into() };
                field(&name, &string(&mut block)?);
            }
        }
    }
    Ok(())
}

fn name(index: usize) -> Result<&'static str, Malformed> {
    index.checked_sub(1).and_then(|n| NAMES.get(n)).copied().ok_or(Malformed)
}

fn integer(bytes: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let mask = (1 << prefix) - 1;
    let mut value = usize::from(take(bytes)?) & mask;
    if value < mask {
        return Ok(value);
    }
    for shift in [0, 7, 14] {
        let byte = take(bytes)?;
        value += usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

fn take(bytes: &mut &[u8]) -> Result<u8, Malformed> {
    let (&first, rest) = bytes.split_first().ok_or(Malformed)?;
    *bytes = rest;
    Ok(first)
}

fn string(bytes: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let is_huffman = bytes.first().is_some_and(|&first| first >= 0x80);
    let length = integer(bytes, 7)?;
    let (text, rest) = bytes.split_at_checked(length).ok_or(Malformed)?;
    *bytes = rest;
    if is_huffman { huffman(text) } else { Ok(text.to_vec()) }
}

fn huffman(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut text = Vec::with_capacity(coded.len() * 8 / 5);
    // The bits so far, the first code of their length, and its place among all codes.
    let (mut length, mut code, mut first, mut place) = (0, 0usize, 0, 0);
    for bit in coded.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)) {
        length += 1;
        code = code << 1 | usize::from(bit);
        first <<= 1;
        let count = *COUNTS.get(length).ok_or(Malformed)?;
        if code - first < count {
            text.push(BY_CODE[place + code - first]);
            (length, code, first, place) = (0, 0, 0, 0);
        } else {
            first += count;
            place += count;
        }
    }
    // The last byte is filled up with ones.
    if length < 8 && code == (1 << length) - 1 { Ok(text) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(block: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
        let mut found = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        read(block, |name, value| found.push((text(name), text(value))))?;
        Ok(found)
    }

    fn field(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    /// The examples of Appendix C.4 and C.6, as far as they need no dynamic table.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        assert_eq!(fields(&[0x88]), Ok(vec![field(":status", "200")]));
        let huffman = [0x48, 0x82, 0x64, 0x02];
        assert_eq!(fields(&huffman), Ok(vec![field(":status", "302")]));
        let authority = [
            0x20, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4,
            0xff,
        ];
        assert_eq!(fields(&authority), Ok(vec![field(":authority", "www.example.com")]));
        let custom =
            b"\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
        assert_eq!(fields(custom), Ok(vec![field("custom-key", "custom-value")]));
        let never = b"\x10\x08password\x06secret\x76\x01x";
        assert_eq!(fields(never), Ok(vec![field("password", "secret"), field("server", "x")]));
    }

    #[test]
    fn what_a_server_may_not_send_is_malformed() {
        // Of the dynamic table; nothing; a number without an end; EOS; padding of zeros.
        for block in [
            &[0xbe][..],
            &[0x80],
            &[0x7f, 0xff, 0xff, 0xff, 0xff],
            &[0x48, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x48, 0x81, 0x00],
            &[0x48, 0x05, b'2'],
        ] {
            assert_eq!(fields(block), Err(Malformed), "{block:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-z-]{1,200}", value in "[ -~]{0,300}") {
            let mut block = Vec::new();
            write(&mut block, &name, &value);
            prop_assert_eq!(fields(&block), Ok(vec![(name, value)]));
        }

        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>()) {
            let _ = fields(&bytes);
            let _ = huffman(&bytes);
        }
    }
}
