//! The header of a NIfTI file as named fields.

use super::NiftiSource;
use crate::diff::Field;
use crate::provenance::sha256;

/// Every header field that has a meaning in both editions of the format, then the extensions.
pub(crate) fn fields(source: &NiftiSource) -> Vec<Field> {
    let header = source.header();
    let forms = &header.forms;
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    let mut fields: Vec<Field> = [
        ("edition", format!("{:?}", header.edition)),
        ("byte order", if header.big_endian { "big endian" } else { "little endian" }.to_owned()),
        ("files", if header.pair { "header and image" } else { "one" }.to_owned()),
        ("dim", format!("{:?}", header.dim)),
        ("datatype", header.datatype.to_string()),
        ("scl_slope", header.slope.to_string()),
        ("scl_inter", header.intercept.to_string()),
        ("pixdim", format!("{:?}", forms.pixdim)),
        ("xyzt_units", forms.units.to_string()),
        ("qform_code", forms.qform_code.to_string()),
        ("quatern_b, c, d", format!("{:?}", forms.quaternion)),
        ("qoffset_x, y, z", format!("{:?}", forms.offset)),
        ("sform_code", forms.sform_code.to_string()),
        ("srow_x, y, z", format!("{:?}", forms.rows)),
        ("dim_info", header.dim_info.to_string()),
        ("intent_code", header.intent_code.to_string()),
        ("intent_name", words(&header.intent_name)),
        ("descrip", words(&header.description)),
    ]
    .into_iter()
    .map(|(name, value)| Field { name: name.to_owned(), shown: value.clone(), value })
    .collect();
    fields.extend(source.extensions().iter().enumerate().map(|(index, extension)| Field {
        name: format!("extension {} (code {})", index + 1, extension.code),
        value: sha256(&extension.content),
        shown: format!("{} bytes", extension.content.len()),
    }));
    fields
}
