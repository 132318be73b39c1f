//! DNS messages, as far as asking for one name's address needs them.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses, at least one, and for how many seconds the first is valid.
    Addresses(Vec<IpAddr>, u32),
    /// The name exists, without such an address.
    NoData,
    NoName,
    /// The server can't or won't say: another may.
    Failure,
}

/// A query for one name; `None` for what can't be a name.
pub(super) fn encode(id: u16, name: &str, record_type: RecordType) -> Option<Vec<u8>> {
    let mut name = Name::from_ascii(name).ok().filter(|name| name.num_labels() > 0)?;
    name.set_fqdn(true);
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, record_type));
    message.to_vec().ok()
}

/// Reads the answer to `query` (as it was encoded). `None` for a packet that does not answer it.
pub(super) fn decode(packet: &[u8], query: &[u8], record_type: RecordType) -> Option<Answer> {
    if packet.get(..2)? != query.get(..2)? {
        return None;
    }
    let Ok(answer) = Message::from_vec(packet) else { return Some(Answer::Failure) };
    let asked = Message::from_vec(query).ok()?;
    if answer.metadata.message_type != MessageType::Response || answer.queries != asked.queries {
        return None;
    }
    Some(match answer.metadata.response_code {
        ResponseCode::NoError => addresses(&answer, record_type),
        ResponseCode::NXDomain => Answer::NoName,
        _ => Answer::Failure,
    })
}

/// The first address is valid for the shortest time of it and the records before it (a chain of
/// aliases).
fn addresses(answer: &Message, record_type: RecordType) -> Answer {
    let (mut addresses, mut ttl) = (Vec::new(), u32::MAX);
    for record in &answer.answers {
        if addresses.is_empty() {
            ttl = ttl.min(record.ttl);
        }
        addresses.extend(record.data.ip_addr().filter(|_| record.record_type() == record_type));
    }
    if addresses.is_empty() { Answer::NoData } else { Answer::Addresses(addresses, ttl) }
}

#[cfg(test)]
pub(crate) mod tests {
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
        let query = encode(7, "Web.ns.svc", RecordType::A).unwrap();
        assert_eq!(
            decode(&answer(&query, 0, &[v6, v4]), &query, RecordType::A),
            Some(Answer::Addresses(vec![v4], 9))
        );
        assert_eq!(decode(&answer(&query, 0, &[]), &query, RecordType::A), Some(Answer::NoData));
        let query = encode(7, "web", RecordType::AAAA).unwrap();
        assert_eq!(
            decode(&answer(&query, 0, &[v6]), &query, RecordType::AAAA),
            Some(Answer::Addresses(vec![v6], 9))
        );
    }

    #[test]
    fn codes_are_told_apart() {
        let query = encode(7, "web", RecordType::A).unwrap();
        assert_eq!(decode(&answer(&query, 3, &[]), &query, RecordType::A), Some(Answer::NoName));
        assert_eq!(decode(&answer(&query, 2, &[]), &query, RecordType::A), Some(Answer::Failure));
        assert_eq!(decode(&answer(&query, 5, &[]), &query, RecordType::A), Some(Answer::Failure));
    }

    #[test]
    fn an_answer_to_another_question_is_ignored() {
        let query = encode(7, "web", RecordType::A).unwrap();
        for other in [
            encode(8, "web", RecordType::A),
            encode(7, "wob", RecordType::A),
            encode(7, "web", RecordType::AAAA),
        ] {
            assert_eq!(decode(&answer(&other.unwrap(), 0, &[]), &query, RecordType::A), None);
        }
        assert_eq!(decode(&query, &query, RecordType::A), None);
    }

    #[test]
    fn names_that_dns_cannot_have_are_refused() {
        for name in ["", "a..b", ".", &"x".repeat(64), &"abcdefg.".repeat(40)] {
            assert_eq!(encode(1, name, RecordType::A), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(tail in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
            let query = encode(7, "web", RecordType::A).unwrap();
            let mut packet = answer(&query, 0, &["10.0.0.1".parse().unwrap()]);
            let _ = decode(&packet[..cut.index(packet.len())], &query, RecordType::A);
            packet.truncate(12 + 9);
            packet.extend_from_slice(&tail);
            packet[6] = 0xff;
            let _ = decode(&packet, &query, RecordType::A);
            let _ = decode(&tail, &query, RecordType::A);
        }
    }
}
