use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A value of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Cell {
    /// A text.
    #[serde(rename = "t")]
    Text(String),
    /// A whole number.
    #[serde(rename = "w")]
    Whole(i64),
    /// A number; in a journal as the shortest text that reads back as the same number.
    #[serde(rename = "n", with = "shortest")]
    Number(f64),
}

impl Cell {
    /// The cell as it stands in a table of text.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => format!("{number:?}"),
        }
    }

    /// The cell as JSON, where a number that is none becomes null.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Whole(number) => (*number).into(),
            Self::Number(number) => (*number).into(),
        }
    }
}

mod shortest {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:?}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// One line of the table: named values in the order of the columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<(String, Cell)>);

impl Row {
    /// Gives a column its value, behind the others when the row did not have it.
    pub(crate) fn set(&mut self, name: &str, cell: Cell) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, kept)) => *kept = cell,
            None => self.0.push((name.to_owned(), cell)),
        }
    }

    /// The values by their columns.
    pub(crate) fn by_name(&self) -> BTreeMap<&str, &Cell> {
        self.0.iter().map(|(name, cell)| (name.as_str(), cell)).collect()
    }

    /// The value of a column.
    pub(crate) fn get(&self, name: &str) -> Option<&Cell> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, cell)| cell)
    }
}

/// Takes a row's names into `columns`, each behind the one before it in the row, and tells whether there were new ones.
pub(crate) fn merge_columns(columns: &mut Vec<String>, row: &Row) -> bool {
    let before = columns.len();
    if columns.len() == row.0.len() && columns.iter().zip(&row.0).all(|(known, (name, _))| known == name) {
        return false;
    }
    let mut places: BTreeSet<String> = columns.iter().cloned().collect();
    let mut next = 0;
    for (name, _) in &row.0 {
        if places.insert(name.clone()) {
            columns.insert(next, name.clone());
            next += 1;
        } else {
            next = columns.iter().position(|known| known == name).map_or(next, |at| at + 1);
        }
    }
    columns.len() > before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(names: &str) -> Row {
        Row(names.chars().map(|name| (name.to_string(), Cell::Whole(1))).collect())
    }

    #[test]
    fn columns_keep_the_order_of_every_row() {
        let mut columns = Vec::new();
        for (names, expected, grew) in
            [("abe", "abe", true), ("acde", "acdbe", true), ("ae", "acdbe", false), ("ef", "acdbef", true)]
        {
            assert_eq!(merge_columns(&mut columns, &row(names)), grew, "{names}");
            assert_eq!(columns.concat(), expected);
        }
    }

    #[test]
    fn numbers_survive_a_journal_bit_by_bit() {
        let numbers = [0.1 + 0.2, 1e-300, f64::MIN_POSITIVE, 2f64.powi(70) / 3.0, f64::INFINITY, -0.0];
        for number in numbers {
            let text = serde_json::to_string(&Cell::Number(number)).unwrap();
            let Cell::Number(back) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            assert_eq!(back.to_bits(), number.to_bits());
        }
        assert_eq!(Cell::Number(f64::NAN).json(), serde_json::Value::Null);
        assert_eq!((Cell::Number(1e-300).text(), Cell::Number(7.0).text()), ("1e-300".into(), "7.0".into()));
    }
}
