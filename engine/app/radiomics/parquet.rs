//! The finished table as Parquet: a column for each name, in row groups of bounded size.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};

use super::{
    row::{Cell, Row, merge_columns},
    table::{beside, unusable},
};
use crate::failure::Failure;

/// Rows that are in memory at one time.
const GROUP: usize = 512;

/// Type of a column: the widest of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Whole,
    Number,
    Text,
}

/// Names and types of the columns, gathered from every row.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    names: Vec<String>,
    kinds: std::collections::BTreeMap<String, Kind>,
}

impl Columns {
    /// Takes the columns of a row.
    pub(crate) fn take(&mut self, row: &Row) {
        merge_columns(&mut self.names, row);
        for (name, cell) in &row.0 {
            let kind = match cell {
                Cell::Text(_) => Kind::Text,
                Cell::Whole(_) => Kind::Whole,
                Cell::Number(_) => Kind::Number,
            };
            let kept = self.kinds.entry(name.clone()).or_insert(kind);
            *kept = kind.max(*kept);
        }
    }

    fn kind(&self, name: &str) -> Kind {
        self.kinds.get(name).copied().unwrap_or(Kind::Text)
    }
}

/// A Parquet file that is still being written, under the name `TABLE.part`.
pub(crate) struct ParquetTable {
    columns: Columns,
    writer: SerializedFileWriter<File>,
    waiting: Vec<Row>,
}

impl ParquetTable {
    /// Begins the file.
    pub(crate) fn begin(path: &Path, columns: Columns) -> Result<Self, Failure> {
        let part = beside(path, "part");
        let file = File::create(&part).map_err(|error| unusable(&part, &error))?;
        let schema = Arc::new(schema(&columns).map_err(Failure::new)?);
        let writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::default()));
        Ok(Self { columns, writer: writer.map_err(Failure::new)?, waiting: Vec::new() })
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) -> Result<(), Failure> {
        self.waiting.push(row);
        if self.waiting.len() < GROUP { Ok(()) } else { self.write_group().map_err(Failure::new) }
    }

    /// Ends the file, which takes its name.
    pub(crate) fn publish(mut self, path: &Path) -> Result<(), Failure> {
        self.write_group().map_err(Failure::new)?;
        let file = self.writer.into_inner().map_err(Failure::new)?;
        let published = file.sync_data().and_then(|()| fs::rename(beside(path, "part"), path));
        published.map_err(|error| unusable(path, &error))
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.waiting);
        let rows: Vec<_> = rows.iter().map(Row::by_name).collect();
        let mut group = self.writer.next_row_group()?;
        for name in &self.columns.names {
            let cells = rows.iter().map(|row| row.get(name.as_str()).copied());
            match self.columns.kind(name) {
                Kind::Whole => write_column::<Int64Type>(&mut group, cells, |cell| match cell {
                    Cell::Whole(number) => Some(*number),
                    _ => None,
                })?,
                Kind::Number => write_column::<DoubleType>(&mut group, cells, |cell| match cell {
                    Cell::Number(number) => Some(*number),
                    Cell::Whole(number) => Some(*number as f64),
                    Cell::Text(_) => None,
                })?,
                Kind::Text => {
                    write_column::<ByteArrayType>(&mut group, cells, |cell| Some(ByteArray::from(&*cell.text())))?;
                }
            }
        }
        group.close()?;
        Ok(())
    }
}

/// Writes one column of a row group; a row without the column has a null.
fn write_column<'a, T: DataType>(
    group: &mut parquet::file::writer::SerializedRowGroupWriter<'_, File>,
    cells: impl Iterator<Item = Option<&'a Cell>>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let values: Vec<Option<T::T>> = cells.map(|cell| cell.and_then(&value)).collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let there: Vec<T::T> = values.into_iter().flatten().collect();
    let missing = || ParquetError::General("the file has fewer columns than the table".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(&there, Some(&levels), None)?;
    column.close()
}

fn schema(columns: &Columns) -> Result<Type, ParquetError> {
    let column = |name: &String| {
        let kind = columns.kind(name);
        let physical = match kind {
            Kind::Whole => Physical::INT64,
            Kind::Number => Physical::DOUBLE,
            Kind::Text => Physical::BYTE_ARRAY,
        };
        let logical = (kind == Kind::Text).then_some(LogicalType::String);
        let column = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        column.with_logical_type(logical).build().map(Arc::new)
    };
    let fields = columns.names.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("features").with_fields(fields).build()
}
