//! The fields of a JSON schema by their paths.

use serde_json::Value as Json;

#[derive(Clone, Debug)]
pub(super) struct Field<'s> {
    /// `spec.method.fault`, from the top of the file; through lists as if they were their items.
    pub path: String,
    pub schema: &'s Json,
    pub presence: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
    /// It, or another one of the same mapping.
    Choice,
}

impl Field<'_> {
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// Whether what it is has it as a field again: a step within a step.
    pub(super) fn is_within_itself(&self, root: &Json) -> bool {
        mapping(root, self.schema).is_some_and(|(_, fields)| fields.contains_key(self.name()))
    }
}

/// What a reference leads to, of a list its items.
pub(super) fn resolved<'s>(root: &'s Json, schema: &'s Json) -> &'s Json {
    match (schema["$ref"].as_str(), &schema["items"]) {
        (Some(reference), _) => match root.pointer(&reference[1..]) {
            Some(target) => resolved(root, target),
            None => schema,
        },
        (None, Json::Null) => schema,
        (None, items) => resolved(root, items),
    }
}

type Properties<'s> = (&'s Json, &'s serde_json::Map<String, Json>);

/// The mapping that a value is, or may be, or of which it is a list.
fn mapping<'s>(root: &'s Json, schema: &'s Json) -> Option<Properties<'s>> {
    let schema = resolved(root, schema);
    let own = schema["properties"].as_object().map(|properties| (schema, properties));
    own.or_else(|| schema["anyOf"].as_array()?.iter().find_map(|one| mapping(root, one)))
}

/// What a field is for, then what values of its type are; where a list has no words, its items'.
pub(super) fn about<'s>(root: &'s Json, schema: &'s Json) -> Vec<&'s str> {
    let mapping = mapping(root, schema).map(|(mapping, _)| mapping);
    let all = [Some(schema), Some(resolved(root, schema)), mapping].into_iter().flatten();
    let mut found: Vec<&str> = all.filter_map(|one| one["description"].as_str()).collect();
    found.dedup();
    found
}

pub(super) fn is_mapping(root: &Json, schema: &Json) -> bool {
    mapping(root, schema).is_some()
}

/// The fields of what a field is, in their order.
pub(super) fn fields<'s>(root: &'s Json, of: &Field<'s>) -> Vec<Field<'s>> {
    let Some((schema, properties)) = mapping(root, of.schema) else { return Vec::new() };
    let has =
        |list: &Json, name: &str| list.as_array().is_some_and(|all| all.contains(&name.into()));
    let is_choice = |name: &str| {
        let all = schema["oneOf"].as_array().into_iter().flatten();
        all.into_iter().any(|one| has(&one["required"], name))
    };
    let field = |(name, schema_of): (&String, &'s Json)| Field {
        path: if of.path.is_empty() { name.clone() } else { format!("{}.{name}", of.path) },
        schema: schema_of,
        presence: match (has(&schema["required"], name), is_choice(name)) {
            (true, _) => Presence::Required,
            (_, true) => Presence::Choice,
            _ => Presence::Optional,
        },
    };
    // What a reader always refuses is none.
    properties.iter().filter(|(_, schema)| !schema.is_boolean()).map(field).collect()
}

pub(super) fn below<'s>(root: &'s Json, field: &Field<'s>, name: &str) -> Option<Field<'s>> {
    fields(root, field).into_iter().find(|one| one.name() == name)
}

/// Every field, but what is within itself only once.
pub(super) fn all(root: &Json) -> Vec<Field<'_>> {
    let top = Field { path: String::new(), schema: root, presence: Presence::Required };
    let mut found = fields(root, &top);
    let mut at = 0;
    while let Some(field) = found.get(at).cloned() {
        if !field.is_within_itself(root) {
            found.extend(fields(root, &field));
        }
        at += 1;
    }
    found
}

/// Between which numbers it is, in a sentence.
pub(super) fn limits(schema: &Json) -> String {
    match (&schema["minimum"], &schema["maximum"]) {
        (Json::Null, _) => String::new(),
        (least, Json::Null) => format!("{least} or more."),
        (least, most) => format!("From {least} to {most}."),
    }
}

/// Its type in a word or a few: `duration`, `[]Object`, `map[string]string`.
pub(super) fn type_of(root: &Json, schema: &Json) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return if is_mapping(root, schema) { "Object".into() } else { name.into() };
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let mut kinds: Vec<String> = any.iter().map(|one| type_of(root, one)).collect();
        kinds.dedup();
        return if kinds.len() > 3 { "any".into() } else { kinds.join(" or ") };
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("{word:?}");
    }
    // `[]string or Object` is a list, or an object.
    let item = |of| Some(type_of(root, of)).filter(|kind| !kind.contains(" or "));
    let item = |of| item(of).unwrap_or_else(|| "any".into());
    let additional = &schema["additionalProperties"];
    match &schema["type"] {
        Json::String(name) if name == "array" => format!("[]{}", item(&schema["items"])),
        Json::String(name) if name == "object" && additional.is_object() => {
            format!("map[string]{}", item(additional))
        }
        Json::String(name) if name == "object" => "Object".into(),
        Json::String(name) => name.clone(),
        Json::Array(names) => {
            let names = names.iter().filter_map(Json::as_str).filter(|name| *name != "null");
            names.collect::<Vec<_>>().join(" or ").replace("object", "Object")
        }
        _ if schema["enum"].is_array() => "string".into(),
        _ => "any".into(),
    }
}
