//! Every rule of the checker: what it asks for, where it stands, what to do.

use super::Severity::{self, Error, Warning};

/// One rule of [`check_dicom`](crate::check_dicom).
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Short name, such as `derived-new-sop-uid`.
    pub id: &'static str,
    /// Weight of its findings.
    pub severity: Severity,
    /// What the rule asks for.
    pub expected: &'static str,
    /// Where it stands: part and section of the DICOM standard, or our own convention.
    pub reference: &'static str,
    /// What to do about a finding.
    pub remedy: &'static str,
}

/// All rules, in the order in which files are checked.
pub fn check_rules() -> &'static [&'static Rule] {
    ALL
}

macro_rules! rules {
    ($($name:ident: $id:literal, $severity:ident, $expected:literal, $reference:literal, $remedy:literal;)*) => {
        $(pub(crate) const $name: Rule = Rule {
            id: $id, severity: $severity, expected: $expected, reference: $reference, remedy: $remedy,
        };)*
        const ALL: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    UNREADABLE: "file-readable", Error, "a whole DICOM file", "PS3.10 7", "copy the file again from where it came";
    META: "file-meta", Error, "a preamble and a file meta group with its transfer syntax", "PS3.10 7.1", "write the file with a meta group";
    META_CLASS: "meta-sop-class", Error, "the data set's SOP Class UID", "PS3.10 7.1", "write the meta group from the data set";
    META_UID: "meta-sop-uid", Error, "the data set's SOP Instance UID", "PS3.10 7.1", "write the meta group from the data set";

    VR_WRONG: "value-representation", Error, "the representation of the dictionary", "PS3.6 6", "write the attribute with its own representation";
    UID_FORM: "uid-form", Error, "at most 64 digits and dots, no component empty or with a leading zero", "PS3.5 9.1", "give the object a valid UID";
    DS_FORM: "decimal-form", Error, "a number of at most 16 characters", "PS3.5 6.2 DS", "round the number to 16 characters";
    IS_FORM: "integer-form", Error, "a whole number of at most 12 characters within 32 bits", "PS3.5 6.2 IS", "write a whole number";
    CS_FORM: "code-string-form", Error, "at most 16 capitals, digits, spaces and underscores", "PS3.5 6.2 CS", "write the code as the standard spells it";
    TEXT_LENGTH: "text-length", Error, "no more characters than the representation holds", "PS3.5 6.2", "shorten the text";
    TEXT_CHARACTERS: "text-characters", Error, "characters of the declared set, no control characters", "PS3.5 6.1", "declare Specific Character Set or use plain characters";
    DATE_FORM: "date-form", Error, "a day of the calendar, YYYYMMDD", "PS3.5 6.2 DA", "write the date as YYYYMMDD or leave it empty";
    TIME_FORM: "time-form", Error, "a time of the day, HHMMSS.FFFFFF", "PS3.5 6.2 TM", "write the time as HHMMSS or leave it empty";
    DATETIME_FORM: "datetime-form", Error, "a moment, YYYYMMDDHHMMSS.FFFFFF&ZZXX", "PS3.5 6.2 DT", "write date and time in full or leave it empty";
    AGE_FORM: "age-form", Error, "three digits and one of D, W, M, Y", "PS3.5 6.2 AS", "write the age like 034Y";
    VALUE_COUNT: "value-count", Error, "as many values as the attribute has", "PS3.6 6", "write all values, and no more";
    PRIVATE_CREATOR: "private-creator", Error, "a private creator that reserves the block", "PS3.5 7.8.1", "write the creator element or drop the private attributes";
    CODE_ITEM: "code-item", Error, "a code value, its scheme and its meaning", "PS3.3 8.8", "complete the code";
    SCHEME: "coding-scheme-declared", Error, "each private scheme in Coding Scheme Identification Sequence", "PS3.3 C.12.1.1.8", "declare the scheme";

    CLASS_UNKNOWN: "class-unknown", Warning, "a class whose modules are known to this checker", "PS3.4 B.5", "check the object with another program as well";
    MODALITY: "modality-class", Error, "a modality that the class holds", "PS3.3 C.7.3.1.1.1", "choose the class of the content";
    MISSING: "attribute-missing", Error, "an attribute with a value", "PS3.5 7.4.1", "write the attribute";
    EMPTY: "attribute-empty", Error, "a value", "PS3.5 7.4.1", "give the attribute a value";
    MISSING_TYPE_2: "attribute-missing-type-2", Error, "an attribute, with or without a value", "PS3.5 7.4.3", "write the attribute, empty when unknown";

    ORIENTATION: "orientation-orthonormal", Error, "two directions of length 1 at right angles", "PS3.3 C.7.6.2.1.1", "write the directions of rows and columns";
    SPACING: "spacing-positive", Error, "two distances above 0 mm", "PS3.3 10.7.1.3", "write the distances of rows and columns";

    BITS: "bits", Error, "1, 8, 16, 32 or 64 bits allocated, no more stored, high bit one below", "PS3.5 8.1.1", "describe the samples as they are stored";
    REPRESENTATION: "pixel-representation", Error, "0 or 1", "PS3.3 C.7.6.3.1", "say whether samples are signed";
    PHOTOMETRIC: "photometric", Error, "MONOCHROME1 or MONOCHROME2 with one sample per pixel", "PS3.3 C.7.6.3.1.2", "describe the samples as they are stored";
    PIXEL_LENGTH: "pixel-length", Error, "rows x columns x frames x bits of pixel data, padded to even", "PS3.5 8.1.1", "write the pixels whole";
    SLOPE: "rescale-slope", Error, "a slope other than 0 beside each intercept", "PS3.3 C.11.1", "write slope and intercept together";
    PET_INTERCEPT: "pet-intercept", Error, "0", "PS3.3 C.8.9.4.1.5", "store PET without an intercept";
    PET_UNITS: "pet-units", Error, "a unit of PET such as BQML, GML or NONE", "PS3.3 C.8.9.1.1.3", "name the unit of the voxels";
    EXTREMES: "smallest-largest", Error, "the smallest and largest stored number of the image", "PS3.3 C.7.6.3", "recompute both, or drop them";
    PADDING: "padding-range", Error, "a number that the samples can hold, signed as they are", "PS3.3 C.7.5.1.1.2", "write the padding value as it is stored";
    WINDOW: "window", Error, "as many widths as centres, each at least 1 (above 0 for LINEAR_EXACT and SIGMOID)", "PS3.3 C.11.2.1.2", "recompute the window";
    LOSSY_FORM: "lossy-value", Error, "00 or 01", "PS3.3 C.7.6.1.1.5", "say whether pixels were ever compressed with loss";
    LOSSY: "lossy-method", Warning, "ratio and method beside 01", "PS3.3 C.7.6.1.1.5", "carry ratio and method over from the source";
    LOSSY_SYNTAX: "lossy-undeclared", Error, "01 in a transfer syntax with loss", "PS3.3 C.7.6.1.1.5", "set Lossy Image Compression to 01";
    BURNED_IN: "burned-in-value", Error, "YES or NO", "PS3.3 C.7.6.1", "say whether text is drawn into the pixels";

    FRAME_COUNT: "frame-count", Error, "one item of Per-Frame Functional Groups per frame", "PS3.3 C.7.6.16", "write an item for each frame";
    FRAME_GROUP: "functional-group-missing", Error, "a functional group that the class demands, shared or in each frame", "PS3.3 C.7.6.16.1", "write the functional group";
    FRAME_GROUP_TWICE: "functional-group-twice", Error, "each functional group either shared or per frame", "PS3.3 C.7.6.16.1.1", "write it once";
    DIMENSIONS: "dimension-values", Error, "one value per dimension index in each frame", "PS3.3 C.7.6.17", "write Dimension Index Values to match the dimensions";
    DIMENSION_ORGANIZATION: "dimension-organization", Error, "a declared Dimension Organization UID", "PS3.3 C.7.6.17", "declare the organization";
    FRAME_POSITION: "frame-positions", Error, "another position or dimension for each frame", "PS3.3 C.7.6.16.2.3", "write the position of each frame";
    SEGMENT_NUMBERS: "segment-numbers", Error, "segments numbered 1, 2, 3 without gaps", "PS3.3 C.8.20.2.1", "number the segments anew";
    SEGMENT_REFERENCE: "segment-reference", Error, "a described segment", "PS3.3 C.8.20.3.1", "describe every segment that a frame shows";
    SEGMENT_BITS: "segment-bits", Error, "1 bit for BINARY", "PS3.3 C.8.20.2.2", "pack binary segments into single bits";

    IMAGE_TYPE: "image-type-form", Error, "ORIGINAL, DERIVED or MIXED, then PRIMARY or SECONDARY", "PS3.3 C.7.6.1.1.2", "say whether the pixels are original or derived";
    SYNTHETIC_VALUE: "synthetic-value", Error, "YES or NO", "PS3.3 C.12.1", "say whether the content is generated";
    SYNTHETIC_MISSING: "synthetic-missing", Error, "Synthetic Data in every output", "rule for derived images", "write Synthetic Data";
    SYNTHETIC_CONTRADICTION: "synthetic-contradiction", Error, "YES where Image Type or the equipment says synthetic", "rule for derived images", "set Synthetic Data to YES";
    SERIES_MARK: "series-mark", Error, "a description that begins with SYN for generated content, else DER", "rule for derived images", "mark the series description";
    QUALIFICATION: "content-qualification", Error, "RESEARCH, PRODUCT or SERVICE", "PS3.3 C.8.13.2.1.1", "say what the image may be used for";
    QUALIFICATION_MISSING: "content-qualification-missing", Error, "Content Qualification in every output", "rule for derived images", "write RESEARCH";
    DERIVATION: "derivation-words", Error, "a description and a code of how the image was derived", "PS3.3 C.7.6.1.1.3", "write Derivation Description and Code Sequence";
    DERIVATION_FOREIGN: "derivation-unexplained", Warning, "a description or a code of how the image was derived", "PS3.3 C.7.6.1.1.3", "ask the maker of the image";
    SOURCES: "source-images", Error, "an instance and its class in each item", "PS3.3 C.7.6.1.1.4", "name class and instance of each source image";
    PURPOSE: "source-purpose", Error, "a purpose of reference in each item", "PS3.3 C.7.6.1.1.4", "write code 121322, DCM";
    LOCATIONS: "source-locations", Error, "YES, NO or REORIENTED_ONLY", "PS3.3 C.7.6.1.1.4", "say whether the voxels stayed where they were";
    NEW_UID: "derived-new-sop-uid", Error, "a SOP Instance UID that is none of the sources'", "PS3.3 C.12.4.1", "give the derived image its own UID";
    EQUIPMENT: "contributing-equipment", Error, "an item of equipment 109100, 109102 or 109103 that made the image", "PS3.3 C.12.1.1.5", "add the processing equipment";
    PROVENANCE: "provenance", Error, "the derivation as JSON in the private block", "rule for derived images", "write the image again";
    LEFTOVER: "foreign-acquisition", Error, "no acquisition attribute of another modality", "rule for derived images", "drop what belongs to the other modality";

    DUPLICATE_UID: "duplicate-sop-uid", Error, "one file per SOP Instance UID", "PS3.3 C.12.1", "remove the copy, or give it its own UID";
    DUPLICATE_NUMBER: "duplicate-instance-number", Warning, "another number for each image of a series", "PS3.3 C.7.6.1", "number the images anew";
    DUPLICATE_POSITION: "duplicate-position", Warning, "one image per slice position of a volume", "PS3.3 C.7.6.2.1.1", "split the series or remove the copy";
    UNEVEN: "uneven-positions", Warning, "even distances of slices", "PS3.3 C.7.6.2.1.1", "find the missing slice";
    UNSORTED: "instance-order", Warning, "instance numbers in the order of positions", "rule for derived images", "number the images along the slice normal";
    MIXED_SIZE: "mixed-size", Error, "one number of rows and columns in a derived series", "rule for derived images", "write one series per grid";
    MIXED_ORIENTATION: "mixed-orientation", Error, "one orientation and pixel spacing in a derived series", "rule for derived images", "write one series per grid";
    MIXED_FRAME: "mixed-frame-of-reference", Error, "one frame of reference per series", "PS3.3 C.7.4.1", "write one series per frame of reference";
    MIXED_MODALITY: "mixed-modality", Error, "one modality per series", "PS3.3 C.7.3.1", "write one series per modality";
    MIXED_STUDY: "mixed-study", Error, "one study and patient per series", "PS3.3 A.1.2", "give each series one study";
    MIXED_TYPE: "derived-new-series", Error, "derived images in another series than their sources", "rule for derived images", "give the derived images a new Series Instance UID";
    SERIES_PATIENT: "mixed-patient", Error, "one patient per study", "PS3.3 A.1.2", "give each study one patient";
}
