//! DNS messages, as far as asking for one name's address needs them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;

/// Which kind of address is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    fn record_type(self) -> u16 {
        match self {
            Family::V4 => 1,
            Family::V6 => 28,
        }
    }
}

/// What a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The first address, and for how many seconds the answer holds.
    Address(IpAddr, u32),
    /// The name exists, without such an address.
    NoData,
    /// There is no such name.
    NoName,
    /// The server can't or won't say: another may.
    Failure,
}

/// A question for one name; `None` for what can't be a name.
pub(super) fn encode(id: u16, name: &str, family: Family) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend_from_slice(&id.to_be_bytes());
    // A standard query, recursion desired, one question.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 {
            return None;
        }
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    if message.len() - HEADER > 255 {
        return None;
    }
    message.extend_from_slice(&family.record_type().to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    Some(message)
}

/// Reads the answer to `query` (as it was encoded). `None` for a packet that does not answer it.
pub(super) fn decode(packet: &[u8], query: &[u8], family: Family) -> Option<Answer> {
    let question = query.get(HEADER..)?;
    let echoed = packet.get(HEADER..HEADER + question.len())?;
    let is_response = packet[2] & 0x80 != 0;
    if packet[..2] != query[..2] || !is_response || !echoed.eq_ignore_ascii_case(question) {
        return None;
    }
    Some(match packet[3] & 0x0f {
        0 => match first_address(packet, HEADER + question.len(), family) {
            Ok(Some((address, ttl))) => Answer::Address(address, ttl),
            Ok(None) => Answer::NoData,
            Err(Broken) => Answer::Failure,
        },
        3 => Answer::NoName,
        _ => Answer::Failure,
    })
}

struct Broken;

/// The first address, and the shortest time that it and the records before it (a chain of aliases) hold.
fn first_address(
    packet: &[u8],
    start: usize,
    family: Family,
) -> Result<Option<(IpAddr, u32)>, Broken> {
    let count = u16::from_be_bytes([packet[6], packet[7]]);
    let (mut at, mut ttl) = (start, u32::MAX);
    for _ in 0..count {
        at = skip_name(packet, at)?;
        let fixed = packet.get(at..at + 10).ok_or(Broken)?;
        let (kind, length) =
            (u16::from_be_bytes([fixed[0], fixed[1]]), u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = packet.get(at + 10..at + 10 + usize::from(length)).ok_or(Broken)?;
        at += 10 + usize::from(length);
        ttl = ttl.min(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]));
        if kind == family.record_type() {
            return address(data, family).map(|address| Some((address, ttl)));
        }
    }
    Ok(None)
}

fn address(data: &[u8], family: Family) -> Result<IpAddr, Broken> {
    match family {
        Family::V4 => Ok(Ipv4Addr::from(<[u8; 4]>::try_from(data).map_err(|_| Broken)?).into()),
        Family::V6 => Ok(Ipv6Addr::from(<[u8; 16]>::try_from(data).map_err(|_| Broken)?).into()),
    }
}

fn skip_name(packet: &[u8], mut at: usize) -> Result<usize, Broken> {
    loop {
        match *packet.get(at).ok_or(Broken)? {
            0 => return Ok(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return Ok(at + 2),
            length if length < 64 => at += 1 + usize::from(length),
            _ => return Err(Broken),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer to a query: a CNAME, and then these addresses of its family.
    pub(crate) fn answer(query: &[u8], code: u8, addresses: &[IpAddr]) -> Vec<u8> {
        let mut packet = query.to_vec();
        packet[2] |= 0x80;
        packet[3] = code;
        packet[7] = addresses.len() as u8 + 1;
        packet.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        for address in addresses {
            let (kind, data) = match address {
                IpAddr::V4(v4) => (1, v4.octets().to_vec()),
                IpAddr::V6(v6) => (28, v6.octets().to_vec()),
            };
            packet.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 9, 0, data.len() as u8]);
            packet.extend_from_slice(&data);
        }
        packet
    }

    #[test]
    fn the_first_address_of_the_family_is_found_behind_a_cname() {
        let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        let query = encode(7, "Web.ns.svc", Family::V4).unwrap();
        assert_eq!(
            decode(&answer(&query, 0, &[v6, v4]), &query, Family::V4),
            Some(Answer::Address(v4, 9))
        );
        assert_eq!(decode(&answer(&query, 0, &[]), &query, Family::V4), Some(Answer::NoData));
        let query = encode(7, "web", Family::V6).unwrap();
        assert_eq!(
            decode(&answer(&query, 0, &[v6]), &query, Family::V6),
            Some(Answer::Address(v6, 9))
        );
    }

    #[test]
    fn codes_are_told_apart() {
        let query = encode(7, "web", Family::V4).unwrap();
        assert_eq!(decode(&answer(&query, 3, &[]), &query, Family::V4), Some(Answer::NoName));
        assert_eq!(decode(&answer(&query, 2, &[]), &query, Family::V4), Some(Answer::Failure));
        assert_eq!(decode(&answer(&query, 5, &[]), &query, Family::V4), Some(Answer::Failure));
    }

    #[test]
    fn another_questions_answer_is_none() {
        let query = encode(7, "web", Family::V4).unwrap();
        for other in [
            encode(8, "web", Family::V4),
            encode(7, "wob", Family::V4),
            encode(7, "web", Family::V6),
        ] {
            assert_eq!(decode(&answer(&other.unwrap(), 0, &[]), &query, Family::V4), None);
        }
        assert_eq!(decode(&query, &query, Family::V4), None);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "a..b", ".", &"x".repeat(64), &"abcdefg.".repeat(40)] {
            assert_eq!(encode(1, name, Family::V4), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(tail in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
            let query = encode(7, "web", Family::V4).unwrap();
            let mut packet = answer(&query, 0, &["10.0.0.1".parse().unwrap()]);
            let _ = decode(&packet[..cut.index(packet.len())], &query, Family::V4);
            packet.truncate(HEADER + 9);
            packet.extend_from_slice(&tail);
            packet[6] = 0xff;
            let _ = decode(&packet, &query, Family::V4);
            let _ = decode(&tail, &query, Family::V4);
        }
    }
}
