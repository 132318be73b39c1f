//! The JSON Schema of an experiment's file, from its own readers: each is asked what it would read,
//! and reads nothing. So a field stands in its reader alone.

use serde_json::{Map, Value as Json, json};

/// What the readers would read, so far.
#[derive(Default)]
pub(super) struct Description {
    /// The mappings that are being described, the outermost first.
    open: Vec<Mapping>,
    /// What the last reader would read.
    last: Json,
    /// What is referred to by name: mappings that contain themselves, and values that many fields
    /// read.
    definitions: Map<String, Json>,
}

struct Mapping {
    /// What it is: `a probe`.
    what: String,
    about: &'static str,
    properties: Map<String, Json>,
    required: Vec<&'static str>,
    /// Fields of which there must be exactly one.
    choices: Vec<&'static str>,
    contains_itself: bool,
}

impl Description {
    /// Begins a mapping; not one that is being described already, which is referred to.
    pub(super) fn begin(&mut self, what: &str) -> Option<()> {
        if let Some(outer) = self.open.iter_mut().find(|outer| outer.what == what) {
            outer.contains_itself = true;
            self.last = reference(what);
            return None;
        }
        self.open.push(Mapping {
            what: what.to_owned(),
            about: "",
            properties: Map::new(),
            required: Vec::new(),
            choices: Vec::new(),
            contains_itself: false,
        });
        Some(())
    }

    pub(super) fn end(&mut self) {
        let Some(mapping) = self.open.pop() else { return };
        let mut schema = json!({
            "title": name(&mapping.what),
            "type": "object",
            "properties": mapping.properties,
            "additionalProperties": false,
        });
        if !mapping.about.is_empty() {
            schema["description"] = mapping.about.into();
        }
        if !mapping.required.is_empty() {
            schema["required"] = json!(mapping.required);
        }
        if !mapping.choices.is_empty() {
            let choices = mapping.choices.iter().map(|name| json!({"required": [name]}));
            schema["oneOf"] = choices.collect();
        }
        self.last = match mapping.contains_itself {
            true => {
                self.definitions.insert(name(&mapping.what).to_owned(), schema);
                reference(&mapping.what)
            }
            false => schema,
        };
    }

    /// Says what the innermost mapping is for.
    pub(super) fn about(&mut self, about: &'static str) {
        if let Some(mapping) = self.open.last_mut() {
            mapping.about = about;
        }
    }

    /// Says something of a field of the innermost mapping.
    pub(super) fn of_field(&mut self, key: &str, keyword: &str, what: Option<Json>) {
        let field = self.open.last_mut().and_then(|mapping| mapping.properties.get_mut(key));
        if let (Some(Json::Object(field)), Some(what)) = (field, what) {
            field.insert(keyword.into(), what);
        }
    }

    /// What the next reader would read, in the place of what the last one would.
    pub(super) fn take(&mut self) -> Json {
        match std::mem::take(&mut self.last) {
            Json::Null => json!({}),
            schema => schema,
        }
    }

    pub(super) fn say(&mut self, schema: Json) {
        self.last = schema;
    }

    /// The same of what many fields read: a reference.
    pub(super) fn define(&mut self, name: &str, schema: Json) {
        self.definitions.insert(name.to_owned(), schema);
        self.last = reference(name);
    }

    /// Adds what the last reader would read as a field of the innermost mapping.
    pub(super) fn add(&mut self, key: &'static str, presence: Presence) {
        let schema = self.take();
        let Some(mapping) = self.open.last_mut() else { return };
        mapping.properties.insert(key.to_owned(), schema);
        match presence {
            Presence::Required => mapping.required.push(key),
            Presence::Choice => mapping.choices.push(key),
            Presence::Optional => {}
        }
    }

    /// The whole schema. A setting that may be a list (`matrix.rs`) is the caller's to add.
    pub(super) fn finish(mut self) -> Json {
        let mut schema = self.take();
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["$defs"] = self.definitions.into();
        schema
    }
}

#[derive(Clone, Copy)]
pub(super) enum Presence {
    Required,
    Optional,
    /// It, or another one of the same choice.
    Choice,
}

fn reference(what: &str) -> Json {
    json!({"$ref": format!("#/$defs/{}", name(what))})
}

/// `step` of `a step`.
fn name(what: &str) -> &str {
    let what = what.trim_matches('`');
    ["a ", "an ", "the "].iter().find_map(|article| what.strip_prefix(article)).unwrap_or(what)
}
