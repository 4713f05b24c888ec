use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use crate::Error;

/// Deepest nesting; a parameter file needs four.
const DEEPEST: usize = 32;

/// Most nodes, those that aliases repeat included.
const MOST_NODES: usize = 10_000;

/// A document and where each key of its mappings stands.
pub(crate) struct Document {
    pub(crate) value: Value,
    places: BTreeMap<Vec<String>, Marker>,
}

impl Document {
    /// Reads one YAML 1.2 document (core schema) whose keys are scalars. NaN, which a [`Value`] cannot hold, becomes the
    /// text `.nan`.
    ///
    /// # Errors
    /// [`Error::InvalidYaml`], also for a key given twice, a second document, infinity, and nesting or aliases beyond any
    /// parameter file.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let mut reader =
            Reader { parser: Parser::new_from_str(text), nodes: 0, anchors: BTreeMap::new(), places: BTreeMap::new() };
        let mut value = Value::Null;
        let mut documents = 0;
        loop {
            match reader.next()? {
                (Event::StreamEnd, _) => return Ok(Self { value, places: reader.places }),
                (Event::DocumentStart(_), span) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(refusal(span.start, "a second document"));
                    }
                    let first = reader.next()?;
                    value = reader.node(first, &mut Vec::new())?;
                }
                _ => {}
            }
        }
    }

    /// `error` with the place of the key at `path`, or of the innermost key above it that stands in the file.
    pub(crate) fn locate(&self, path: &[&str], error: Error) -> Error {
        let place = (1..=path.len()).rev().find_map(|depth| {
            let path: Vec<String> = path[..depth].iter().map(|&key| key.to_owned()).collect();
            self.places.get(&path)
        });
        match place {
            Some(place) => Error::InFile { line: place.line(), column: place.col() + 1, error: Box::new(error) },
            None => error,
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    nodes: usize,
    anchors: BTreeMap<usize, (Value, usize)>,
    places: BTreeMap<Vec<String>, Marker>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Error> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(refusal(*error.marker(), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The node that begins with an event; `path` holds the keys above it.
    fn node(&mut self, (event, span): (Event<'a>, Span), path: &mut Vec<String>) -> Result<Value, Error> {
        let before = self.nodes;
        self.count(1, span.start)?;
        if path.len() > DEEPEST {
            return Err(refusal(span.start, "nested too deep"));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref(), span.start)?, anchor),
            Event::SequenceStart(anchor, _) => (self.sequence(path)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(path)?, anchor),
            Event::Alias(anchor) => {
                let (value, nodes) = self
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .ok_or_else(|| refusal(span.start, "an alias inside its own node"))?;
                self.count(nodes, span.start)?;
                return Ok(value);
            }
            _ => (Value::Null, 0),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), self.nodes - before));
        }
        Ok(value)
    }

    fn sequence(&mut self, path: &mut Vec<String>) -> Result<Value, Error> {
        let mut values = Vec::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd | Event::StreamEnd) {
                return Ok(Value::Array(values));
            }
            path.push(String::new());
            values.push(self.node(next, path)?);
            path.pop();
        }
    }

    fn mapping(&mut self, path: &mut Vec<String>) -> Result<Value, Error> {
        let mut map = Map::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd | Event::StreamEnd => return Ok(Value::Object(map)),
                Event::Scalar(key, ..) => key.into_owned(),
                _ => return Err(refusal(span.start, "a key that is not a name")),
            };
            if map.contains_key(&key) {
                return Err(refusal(span.start, &format!("{key} is given twice")));
            }
            path.push(key.clone());
            self.places.insert(path.clone(), span.start);
            let next = self.next()?;
            let value = self.node(next, path)?;
            path.pop();
            map.insert(key, value);
        }
    }

    fn count(&mut self, nodes: usize, place: Marker) -> Result<(), Error> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES { Err(refusal(place, "more values than a parameter file needs")) } else { Ok(()) }
    }
}

/// A scalar by YAML's core schema; quoted ones and those tagged `!!str` are text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Marker) -> Result<Value, Error> {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Ok(Value::String(text.to_owned()));
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Ok(Value::String(".nan".to_owned())),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit())
        && let Ok(number) = text.parse::<i64>()
    {
        return Ok(Value::Number(number.into()));
    }
    let radix = |prefix, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Ok(Value::Number(number.into()));
    }
    let is_float = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    match text.parse::<f64>() {
        Ok(number) if is_float => {
            let number = Number::from_f64(number).ok_or_else(|| refusal(place, "a number beyond all bounds"))?;
            Ok(Value::Number(number))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn refusal(place: Marker, problem: &str) -> Error {
    Error::InvalidYaml { line: place.line(), column: place.col() + 1, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_follow_the_core_schema() {
        let yaml = "[1, -2, 010, 0x1F, 1.5, 1e-3, .5, '1', \"a\", yes, True, ~, null, .nan, !!str 7, 1_000]";
        let expected = json!([1, -2, 10, 31, 1.5, 0.001, 0.5, "1", "a", "yes", true, null, null, ".nan", "7", "1_000"]);
        assert_eq!(Document::read(yaml).unwrap().value, expected);
    }

    #[test]
    fn aliases_repeat_their_anchor_within_bounds() {
        let document = Document::read("a: &x {b: [1, 2]}\nc: *x\n").unwrap();
        assert_eq!(document.value, json!({"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}));
        let mut laughs = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        (1..9).for_each(|n| laughs += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
        for (yaml, problem) in [
            (laughs.as_str(), "more values than a parameter file needs"),
            (&"[".repeat(50), "nested too deep"),
            ("a: &x [*x]", "an alias inside its own node"),
            ("? [1]\n: 2\n", "a key that is not a name"),
        ] {
            let Err(Error::InvalidYaml { problem: found, .. }) = Document::read(yaml) else { panic!("{yaml}") };
            assert_eq!(found, problem);
        }
    }
}
