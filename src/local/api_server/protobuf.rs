//! Kubernetes' protobuf for the few kinds that `kubectl create` sends in it and in nothing else.
//!
//! A field that is not in a table is refused, never dropped. Answers are always JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// What every such body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The fields of a message: number, name in JSON, shape.
type Fields = &'static [(u64, &'static str, Shape)];

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Number,
    /// What JSON has in base64.
    Bytes,
    /// A map from text.
    Map(&'static Self),
    Message(Fields),
}

const METADATA: Shape = Shape::Message(&[
    (1, "name", Shape::Text),
    (2, "generateName", Shape::Text),
    (3, "namespace", Shape::Text),
    (4, "selfLink", Shape::Text),
    (5, "uid", Shape::Text),
    (6, "resourceVersion", Shape::Text),
    (7, "generation", Shape::Number),
    // Empty in an object that is new.
    (8, "creationTimestamp", Shape::Message(&[])),
    (11, "labels", Shape::Map(&Shape::Text)),
    (12, "annotations", Shape::Map(&Shape::Text)),
]);
const NAMESPACE: Fields = &[
    (1, "metadata", METADATA),
    (2, "spec", Shape::Message(&[])),
    (3, "status", Shape::Message(&[(1, "phase", Shape::Text)])),
];
const SECRET: Fields = &[
    (1, "metadata", METADATA),
    (2, "data", Shape::Map(&Shape::Bytes)),
    (3, "type", Shape::Text),
];
const CONFIG_MAP: Fields = &[
    (1, "metadata", METADATA),
    (2, "data", Shape::Map(&Shape::Text)),
    (3, "binaryData", Shape::Map(&Shape::Bytes)),
];
const SERVICE_ACCOUNT: Fields = &[(1, "metadata", METADATA)];

/// Reads a body. None: it is of a kind that is not read in this format.
pub(super) fn decode(body: &[u8]) -> Option<Result<Value, String>> {
    let envelope = Message(body.strip_prefix(MAGIC)?);
    let (mut meta, mut raw) = (&[][..], &[][..]);
    for field in envelope {
        match field {
            Ok((1, Wire::Bytes(bytes))) => meta = bytes,
            Ok((2, Wire::Bytes(bytes))) => raw = bytes,
            Ok((3 | 4, Wire::Bytes([]))) => {}
            Ok(_) => return None,
            Err(error) => return Some(Err(error)),
        }
    }
    let named = object(
        meta,
        &[(1, "apiVersion", Shape::Text), (2, "kind", Shape::Text)],
    )
    .ok()?;
    let fields = match (
        named.get("apiVersion")?.as_str()?,
        named.get("kind")?.as_str()?,
    ) {
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "Secret") => SECRET,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        _ => return None,
    };
    Some(object(raw, fields).map(|mut decoded| {
        decoded.extend(named);
        Value::Object(decoded)
    }))
}

fn object(bytes: &[u8], fields: Fields) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    for field in Message(bytes) {
        let (number, wire) = field?;
        let known = fields.iter().find(|it| it.0 == number);
        let (_, name, shape) = known.ok_or_else(|| format!("unknown field number {number}"))?;
        let wrong = |error: String| format!("{name}: {error}");
        let decoded = value(&wire, shape).map_err(wrong)?;
        match (object.get_mut(*name), decoded) {
            // What Go's encoder writes for a field that is not set.
            (None, Value::Null) => {}
            (Some(Value::Object(old)), Value::Object(more)) => old.extend(more),
            (_, decoded) => {
                object.insert((*name).to_owned(), decoded);
            }
        }
    }
    Ok(object)
}

fn value(wire: &Wire<'_>, shape: &Shape) -> Result<Value, String> {
    Ok(match (shape, wire) {
        (Shape::Text | Shape::Message(_), Wire::Bytes([])) | (Shape::Number, Wire::Number(0)) => {
            Value::Null
        }
        (Shape::Text, Wire::Bytes(bytes)) => {
            json!(std::str::from_utf8(bytes).map_err(|error| error.to_string())?)
        }
        (Shape::Number, Wire::Number(number)) => json!(number),
        (Shape::Bytes, Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        (Shape::Map(of), Wire::Bytes(bytes)) => entry(bytes, of)?,
        (Shape::Message(fields), Wire::Bytes(bytes)) => match object(bytes, fields)? {
            empty if empty.is_empty() => Value::Null,
            object => Value::Object(object),
        },
        _ => return Err("of another wire type".to_owned()),
    })
}

/// One pair of a map: a message of a key and a value, either of them absent when empty.
fn entry(bytes: &[u8], of: &Shape) -> Result<Value, String> {
    let (mut key, mut held) = (Wire::Bytes(&[]), Wire::Bytes(&[]));
    for field in Message(bytes) {
        match field? {
            (1, wire) => key = wire,
            (2, wire) => held = wire,
            (number, _) => return Err(format!("unknown field number {number}")),
        }
    }
    let or_empty = |found: Value| if found.is_null() { json!("") } else { found };
    let key = or_empty(value(&key, &Shape::Text)?);
    let key = key.as_str().unwrap_or_default().to_owned();
    Ok(Value::Object(Map::from_iter([(
        key,
        or_empty(value(&held, of)?),
    )])))
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of an encoded message, in their order.
struct Message<'a>(&'a [u8]);

impl<'a> Iterator for Message<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "cut off, or of an unknown wire type".to_owned()))
    }
}

impl<'a> Message<'a> {
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, wire))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::decode;

    /// A field of a known length.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, length], bytes].concat()
    }

    fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        let rest = [field(2, raw), field(3, b""), field(4, b"")].concat();
        [b"k8s\0".to_vec(), field(1, &meta), rest].concat()
    }

    fn secret() -> Vec<u8> {
        let metadata = [
            field(1, b"s"),
            field(5, b""),
            vec![7 << 3, 0],
            field(8, b""),
        ]
        .concat();
        let pair = |key: &[u8], held: &[u8]| field(2, &[field(1, key), field(2, held)].concat());
        let fields = [
            field(1, &metadata),
            pair(b"a", b"b"),
            pair(b"c", b""),
            field(3, b""),
        ];
        fields.concat()
    }

    #[test]
    fn a_secret_is_read_as_kubectl_sends_it() {
        let decoded = decode(&envelope("Secret", &secret())).unwrap().unwrap();
        let expected = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": "Yg==", "c": ""},
        });
        assert_eq!(decoded, expected);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(decode(b"{}").is_none());
        assert!(decode(&envelope("Pod", b"")).is_none());
        let unknown = decode(&envelope("Secret", &field(9, b"x"))).unwrap();
        assert_eq!(unknown.unwrap_err(), "unknown field number 9");
        let inner = decode(&envelope("Secret", &field(1, &field(15, b"x")))).unwrap();
        assert_eq!(inner.unwrap_err(), "metadata: unknown field number 15");
    }

    #[test]
    fn whatever_is_cut_or_turned_is_an_error_or_another_object() {
        let whole = envelope("Secret", &secret());
        for at in 0..whole.len() {
            decode(&whole[..at]);
            for bit in 0..8 {
                let mut turned = whole.clone();
                turned[at] ^= 1 << bit;
                decode(&turned);
            }
        }
        let endless = [b"k8s\0".to_vec(), vec![0xff; 40]].concat();
        assert!(decode(&endless).unwrap().is_err());
    }
}
