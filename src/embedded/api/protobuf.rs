//! Objects as kubectl sends them from commands with built-in types (`create namespace`, `create
//! deployment`, `drain`): Kubernetes' protobuf, read by a table of the fields that such commands
//! set (numbers of `generated.proto` of 1.34). What is not in the table is refused, never left out.

use serde_json::{Map, Value};

use super::ApiError;

const MAGIC: &[u8] = b"k8s\0";

/// A field: its number, its name, what it is.
struct Field(u64, &'static str, What);

enum What {
    Text,
    Texts,
    Number,
    Pairs,
    One(&'static [Field]),
    Many(&'static [Field]),
    /// A number or a name.
    IntOrString,
    Skip,
}

use What::{IntOrString, Many, Number, One, Pairs, Skip, Text, Texts};

/// Messages by their fields: each has its number, its name and what it is.
macro_rules! messages {
    ($($message:ident { $($number:literal $name:ident $what:expr),* $(,)? })*) => {
        $(const $message: &[Field] = &[$(Field($number, stringify!($name), $what)),*];)*
    };
}

messages! {
    META {
        1 name Text, 2 generateName Text, 3 namespace Text, 8 creationTimestamp Skip,
        11 labels Pairs, 12 annotations Pairs,
    }
    NAMESPACE { 1 metadata One(META), 2 spec Skip, 3 status Skip }
    SERVICE_ACCOUNT { 1 metadata One(META) }
    CONFIG_MAP { 1 metadata One(META), 2 data Pairs }
    SERVICE_PORT {
        1 name Text, 2 protocol Text, 3 port Number, 4 targetPort IntOrString, 5 nodePort Skip,
    }
    SERVICE_SPEC {
        1 ports Many(SERVICE_PORT), 2 selector Pairs, 3 clusterIP Text, 4 type Text,
        7 sessionAffinity Text, 10 externalName Text,
    }
    SERVICE { 1 metadata One(META), 2 spec One(SERVICE_SPEC), 3 status Skip }
    CONTAINER_PORT { 1 name Text, 3 containerPort Number, 4 protocol Text }
    CONTAINER { 1 name Text, 2 image Text, 3 command Texts, 6 ports Many(CONTAINER_PORT) }
    POD_SPEC { 2 containers Many(CONTAINER) }
    TEMPLATE { 1 metadata One(META), 2 spec One(POD_SPEC) }
    SELECTOR { 1 matchLabels Pairs }
    STRATEGY { 1 type Text }
    DEPLOYMENT_SPEC {
        1 replicas Number, 2 selector One(SELECTOR), 3 template One(TEMPLATE),
        4 strategy One(STRATEGY),
    }
    DEPLOYMENT { 1 metadata One(META), 2 spec One(DEPLOYMENT_SPEC), 3 status Skip }
    PRECONDITIONS { 1 uid Text, 2 resourceVersion Text }
    DELETE_OPTIONS {
        1 gracePeriodSeconds Number, 2 preconditions One(PRECONDITIONS), 4 propagationPolicy Text,
        5 dryRun Texts,
    }
    TYPE { 1 apiVersion Text, 2 kind Text }
    PAIR { 1 key Text, 2 value Text }
    INT_OR_STRING { 1 type Number, 2 number Number, 3 text Text }
}

fn fields_of(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "Namespace" => NAMESPACE,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "ConfigMap" => CONFIG_MAP,
        "Service" => SERVICE,
        "Deployment" => DEPLOYMENT,
        "DeleteOptions" => DELETE_OPTIONS,
        _ => return None,
    })
}

pub(super) fn read(bytes: &[u8]) -> Result<Value, ApiError> {
    let wrapped =
        bytes.strip_prefix(MAGIC).ok_or_else(|| refused("it does not start as protobuf"))?;
    let (mut about, mut raw) = (Map::new(), &[][..]);
    let mut rest = wrapped;
    while let Some((number, content)) = next(&mut rest).map_err(|why| refused(&why))? {
        match (number, content) {
            (1, Content::Bytes(content)) => {
                about = message(content, TYPE).map_err(|why| refused(&why))?
            }
            (2, Content::Bytes(content)) => raw = content,
            _ => {}
        }
    }
    let kind = about.get("kind").and_then(Value::as_str).unwrap_or_default();
    let fields = fields_of(kind).ok_or_else(|| refused(&format!("a {kind} is not read in it")))?;
    let object = message(raw, fields).map_err(|why| refused(&format!("{kind}: {why}")))?;
    Ok(about.into_iter().chain(object).collect())
}

fn refused(why: &str) -> ApiError {
    let message = format!(
        "the body is protobuf, which this server supports only in part: {why}; send it as JSON or YAML, as `kubectl apply` does"
    );
    ApiError::new(415, "UnsupportedMediaType", message)
}

/// A field as it is written.
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Content<'_> {
    /// What Go writes for a field that nobody set.
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Number(0) | Self::Bytes([]))
    }
}

fn message(mut bytes: &[u8], fields: &[Field]) -> Result<Map<String, Value>, String> {
    let mut members = Map::new();
    while let Some((number, content)) = next(&mut bytes)? {
        match fields.iter().find(|field| field.0 == number) {
            Some(Field(_, name, what)) => put(&mut members, name, what, &content)?,
            None if content.is_nothing() => {}
            None => return Err(format!("field {number} is not known")),
        }
    }
    Ok(members)
}

fn put(
    members: &mut Map<String, Value>,
    name: &str,
    what: &What,
    content: &Content,
) -> Result<(), String> {
    let many = |members: &mut Map<String, Value>, value: Value| match members
        .entry(name)
        .or_insert_with(|| Value::Array(Vec::new()))
    {
        Value::Array(items) => items.push(value),
        other => *other = value,
    };
    match (what, content) {
        (Skip, _) => {}
        (Number, Content::Number(number)) => {
            members.insert(name.to_owned(), (*number as i64).into());
        }
        (Text, Content::Bytes([])) => {}
        (Text, Content::Bytes(bytes)) => drop(members.insert(name.to_owned(), text(bytes)?.into())),
        (Texts, Content::Bytes(bytes)) => many(members, text(bytes)?.into()),
        (One(fields), Content::Bytes(bytes)) => {
            members.insert(name.to_owned(), message(bytes, fields)?.into());
        }
        (Many(fields), Content::Bytes(bytes)) => many(members, message(bytes, fields)?.into()),
        (Pairs, Content::Bytes(bytes)) => {
            let mut pair = message(bytes, PAIR)?;
            let mut part = |name: &str| pair.remove(name).unwrap_or_else(|| "".into());
            let (key, value) = (part("key"), part("value"));
            let map = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
            map[key.as_str().unwrap_or_default()] = value;
        }
        (IntOrString, Content::Bytes(bytes)) => {
            let either = message(bytes, INT_OR_STRING)?;
            let chosen =
                if either.get("type").is_some_and(|is| is == 1) { "text" } else { "number" };
            if let Some(value) = either.get(chosen).filter(|value| **value != 0) {
                members.insert(name.to_owned(), value.clone());
            }
        }
        _ => return Err(format!("{name} is of another type")),
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a string is not UTF-8".to_owned())
}

/// The next field; `None` at the end.
fn next<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u64, Content<'a>)>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let tag = varint(bytes)?;
    let content = match tag & 7 {
        0 => Content::Number(varint(bytes)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|_| "it is cut off")?;
            let (content, rest) = bytes.split_at_checked(length).ok_or("it is cut off")?;
            *bytes = rest;
            Content::Bytes(content)
        }
        _ => return Err(format!("field {} is of an unknown type", tag >> 3)),
    };
    Ok(Some((tag >> 3, content)))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or("it is cut off")?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn wrapped(kind: &str, raw: &[u8]) -> Vec<u8> {
        let about = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [MAGIC, &field(1, &about), &field(2, raw), &field(3, b""), &field(4, b"")].concat()
    }

    #[test]
    fn a_namespace_is_read_as_kubectl_writes_it() {
        // `kubectl create namespace x` of 1.34: what is not set is written as empty.
        let meta = [
            field(1, b"x"),
            field(2, b""),
            field(3, b""),
            field(4, b""),
            vec![0x38, 0],
            field(8, b""),
        ]
        .concat();
        let labels = field(11, &[field(1, b"a"), field(2, b"b")].concat());
        let raw =
            [field(1, &[meta, labels].concat()), field(2, b""), field(3, &field(1, b""))].concat();
        let expected = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "labels": {"a": "b"}}});
        assert_eq!(read(&wrapped("Namespace", &raw)).unwrap(), expected);
    }

    #[test]
    fn numbers_and_lists_are_read() {
        let raw = [vec![0x08, 0], field(2, &field(1, b"u")), field(5, b"All")].concat();
        let options = read(&wrapped("DeleteOptions", &raw)).unwrap();
        assert_eq!(
            (&options["gracePeriodSeconds"], &options["preconditions"]["uid"]),
            (&0.into(), &"u".into())
        );
        assert_eq!(options["dryRun"], json!(["All"]));
        let port =
            |either: &[u8]| field(2, &field(1, &[vec![0x18, 80], field(4, either)].concat()));
        let of = |either: &[u8]| {
            read(&wrapped("Service", &port(either))).unwrap()["spec"]["ports"][0]["targetPort"]
                .clone()
        };
        assert_eq!(of(&[0x08, 1, 0x1a, 1, b'h']), "h");
        assert_eq!(of(&[0x08, 0, 0x10, 90, 0x1a, 0]), 90);
    }

    #[test]
    fn what_is_not_known_is_refused_and_never_left_out() {
        let spec = field(2, &field(9, b"loadBalancerSourceRanges"));
        let error = read(&wrapped("Service", &spec)).unwrap_err();
        assert!(error.message.contains("Service: field 9 is not known"), "{}", error.message);
        for bytes in
            [&b"x"[..], b"k8s\0\x0a\xff", &wrapped("Lease", b""), &wrapped("Service", b"\x0a\x05a")]
        {
            assert_eq!(read(bytes).unwrap_err().code, 415);
        }
    }
}
