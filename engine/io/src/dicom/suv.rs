//! Standardised uptake values of PET.
//!
//! The body weight uptake value relates the activity in a voxel to the activity given per gram of the patient:
//! ```text
//! SUVbw = A / (D · 2^(-t / T½)) · W
//! ```
//! with `A` the activity concentration in Bq/ml, `D` the given activity in Bq, `W` the weight in g (so that 1 ml weighs
//! 1 g), `T½` the half life and `t` the time from the injection to the moment that `A` is corrected to: the start of the
//! scan for Decay Correction START, the injection for ADMIN (`t = 0`), and the acquisition itself for NONE. Quantitative
//! Imaging Biomarkers Alliance, FDG-PET/CT profile 1.05, appendix on vendor-neutral SUV.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::attributes::{number, text, texts};
use super::frames::Plane;
use super::header::Slice;

/// How the intensities of a PET volume become uptake values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Uptake {
    /// They are uptake values already.
    Told,
    /// The factor of each plane.
    Factors(Vec<f64>),
    /// They cannot: what is missing or forbids it, for these units.
    Impossible { units: String, lacking: &'static str },
}

/// What the header tells about uptake.
pub(crate) fn uptake(planes: &[Plane]) -> Uptake {
    let units = planes[0].text(tags::UNITS).or_else(|| planes[0].text(tags::RESCALE_TYPE)).unwrap_or_default();
    let file = &*planes[0].file;
    let answer = match units.as_str() {
        "GML" => match text(&file.object, tags::SUV_TYPE).as_deref() {
            None | Some("BW") => Ok(Uptake::Told),
            Some(_) => Err("SUV Type BW (0054,1006)"),
        },
        "BQML" => factors(planes, 1.0).map(Uptake::Factors),
        "CNTS" => match (file.private.philips_uptake_factor, file.private.philips_activity_factor) {
            (Some(factor), _) => Ok(Uptake::Factors(vec![factor; planes.len()])),
            (None, Some(activity)) => factors(planes, activity).map(Uptake::Factors),
            (None, None) => Err("Philips SUV or activity factor (7053,1000), (7053,1009)"),
        },
        "" => Err("Units (0054,1001)"),
        _ => Err("Units of BQML, GML or CNTS (0054,1001)"),
    };
    answer.unwrap_or_else(|lacking| Uptake::Impossible {
        units: if units.is_empty() { "unknown units".to_owned() } else { units },
        lacking,
    })
}

/// Uptake value per intensity for each plane, where an intensity is `activity` Bq/ml.
fn factors(planes: &[Plane], activity: f64) -> Result<Vec<f64>, &'static str> {
    let file = &*planes[0].file;
    let corrections = texts(&file.object, tags::CORRECTED_IMAGE);
    if !corrections.is_empty() && !corrections.iter().any(|word| word == "ATTN") {
        return Err("ATTN in Corrected Image (0028,0051)");
    }
    let weight_g = 1000.0
        * number(&file.object, tags::PATIENT_WEIGHT).filter(|&kg| kg > 0.0).ok_or("Patient's Weight (0010,1030)")?;
    let given = Injection::of(file)?;
    let times = reference_times(planes)?;
    let decayed = |time: Option<f64>| match time {
        Some(time) => {
            Ok(given.activity_bq * (-given.elapsed(time)? / given.half_life_s()? * std::f64::consts::LN_2).exp())
        }
        None => Ok(given.activity_bq),
    };
    times.into_iter().map(|time| Ok(activity * weight_g / decayed(time)?)).collect()
}

struct Injection {
    activity_bq: f64,
    half_life_s: Option<f64>,
    start: Option<Start>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Start {
    /// Seconds since the first day of the calendar.
    DateTime(f64),
    /// Seconds since midnight of a day that is not told.
    Time(f64),
}

impl Injection {
    fn of(file: &Slice) -> Result<Self, &'static str> {
        let sequence = file.object.get(tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE);
        let item = sequence
            .and_then(InMemElement::items)
            .and_then(<[InMemDicomObject]>::first)
            .ok_or("Radiopharmaceutical Information Sequence (0054,0016)")?;
        let positive = |tag| number(item, tag).filter(|&value| value > 0.0);
        let moment = text(item, tags::RADIOPHARMACEUTICAL_START_DATE_TIME).and_then(|dt| date_time(&dt, file));
        let time = text(item, tags::RADIOPHARMACEUTICAL_START_TIME).and_then(|tm| time(&tm));
        Ok(Self {
            activity_bq: positive(tags::RADIONUCLIDE_TOTAL_DOSE).ok_or("Radionuclide Total Dose (0018,1074)")?,
            half_life_s: positive(tags::RADIONUCLIDE_HALF_LIFE),
            start: moment.map(Start::DateTime).or(time.map(Start::Time)),
        })
    }

    fn half_life_s(&self) -> Result<f64, &'static str> {
        self.half_life_s.ok_or("Radionuclide Half Life (0018,1075)")
    }

    /// Seconds from the injection to `moment`. A time of day without a date is that of the same day, or of the day before
    /// when the moment would be more than half a day earlier than the injection. A dynamic scan may begin up to ten
    /// minutes before the injection.
    fn elapsed(&self, moment: f64) -> Result<f64, &'static str> {
        const DAY: f64 = 86400.0;
        const EARLY: f64 = -600.0;
        let elapsed = match self.start.ok_or("Radiopharmaceutical Start Time (0018,1072)")? {
            Start::DateTime(start) => moment - start,
            Start::Time(start) => {
                let elapsed = moment.rem_euclid(DAY) - start;
                if elapsed < -DAY / 2.0 { elapsed + DAY } else { elapsed }
            }
        };
        if elapsed < EARLY {
            return Err("Radiopharmaceutical Start Time (0018,1072) before the scan");
        }
        if elapsed > 10.0 * DAY {
            return Err("Radiopharmaceutical Start DateTime (0018,1078) within ten days of the scan");
        }
        Ok(elapsed)
    }
}

/// The moment that the activity of each plane is corrected to; `None` for the injection.
fn reference_times(planes: &[Plane]) -> Result<Vec<Option<f64>>, &'static str> {
    if let Some(moment) =
        planes[0].text(tags::DECAY_CORRECTION_DATE_TIME).and_then(|dt| date_time(&dt, &planes[0].file))
    {
        return Ok(vec![Some(moment); planes.len()]);
    }
    let acquired: Vec<Option<f64>> = planes.iter().map(acquisition).collect();
    match planes[0].text(tags::DECAY_CORRECTION).as_deref() {
        Some("ADMIN") => Ok(vec![None; planes.len()]),
        Some("START") => {
            let earliest = acquired.iter().flatten().copied().min_by(f64::total_cmp);
            let series = moment(&planes[0].file, tags::SERIES_DATE, tags::SERIES_TIME);
            // A series made after the scan, by later processing, does not tell when the scan began.
            let began = match (series, earliest) {
                (Some(series), Some(earliest)) => Some(series.min(earliest)),
                (series, earliest) => series.or(earliest),
            };
            let began = began.ok_or("Series Time (0008,0031) or Acquisition Time (0008,0032)")?;
            Ok(vec![Some(began); planes.len()])
        }
        Some("NONE") => {
            if acquired.contains(&None) {
                return Err("Acquisition Time (0008,0032)");
            }
            Ok(acquired)
        }
        Some(_) => Err("Decay Correction of START, ADMIN or NONE (0054,1102)"),
        None => Err("Decay Correction (0054,1102)"),
    }
}

fn acquisition(plane: &Plane) -> Option<f64> {
    let told = [tags::FRAME_REFERENCE_DATE_TIME, tags::FRAME_ACQUISITION_DATE_TIME, tags::ACQUISITION_DATE_TIME];
    let whole = || told.into_iter().find_map(|tag| date_time(&plane.text(tag)?, &plane.file));
    moment(&plane.file, tags::ACQUISITION_DATE, tags::ACQUISITION_TIME).or_else(whole)
}

/// Seconds since the first day of the calendar; a missing date is that of the acquisition, series or study.
fn moment(file: &Slice, date_tag: Tag, time_tag: Tag) -> Option<f64> {
    let seconds = time(&text(&file.object, time_tag)?)?;
    let days = [date_tag, tags::ACQUISITION_DATE, tags::SERIES_DATE, tags::STUDY_DATE]
        .into_iter()
        .find_map(|tag| date(&text(&file.object, tag)?))
        .unwrap_or(0.0);
    Some(days * 86400.0 + seconds)
}

/// `YYYYMMDDHHMMSS.FFFFFF&ZZXX`: the offset from UTC counts when the file tells its own.
fn date_time(value: &str, file: &Slice) -> Option<f64> {
    let (local, offset) = match value.rfind(['+', '-']) {
        Some(at) => (&value[..at], offset_s(&value[at..])),
        None => (value, None),
    };
    let here = text(&file.object, tags::TIMEZONE_OFFSET_FROM_UTC).and_then(|text| offset_s(&text));
    let moment = date(local.get(..8)?)? * 86400.0 + time(local.get(8..)?)?;
    Some(moment + here.zip(offset).map_or(0.0, |(here, there)| here - there))
}

/// `±HHMM` in seconds.
fn offset_s(text: &str) -> Option<f64> {
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let digits = text.strip_prefix(['+', '-'])?;
    let part = |at: usize| digits.get(at..at + 2)?.parse::<f64>().ok();
    Some(sign * (part(0)? * 3600.0 + part(2)? * 60.0))
}

/// Days since 1 January of year 0 of the Gregorian calendar for `YYYYMMDD` or the older `YYYY.MM.DD`.
fn date(value: &str) -> Option<f64> {
    let digits: String = value.chars().filter(|c| *c != '.').collect();
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    if digits.len() != 8 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March end with the leap day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day;
    Some(days as f64)
}

/// Seconds since midnight for `HHMMSS.FFFFFF`, shorter forms and the older `HH:MM:SS`.
fn time(value: &str) -> Option<f64> {
    let digits: String = value.chars().filter(|c| *c != ':').collect();
    let part = |from: usize| match digits.get(from..from + 2) {
        Some(two) => two.parse::<f64>().ok(),
        None => (digits.len() <= from).then_some(0.0),
    };
    let seconds = match digits.get(4..) {
        Some(rest) if !rest.is_empty() => rest.parse::<f64>().ok()?,
        _ => 0.0,
    };
    let (hours, minutes) = (digits.get(..2)?.parse::<f64>().ok()?, part(2)?);
    (hours < 24.0 && minutes < 60.0 && (0.0..61.0).contains(&seconds))
        .then_some(hours * 3600.0 + minutes * 60.0 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_count_seconds() {
        for (value, expected) in [
            ("000000", Some(0.0)),
            ("13", Some(46800.0)),
            ("1330", Some(48600.0)),
            ("133015.5", Some(48615.5)),
            ("13:30:15", Some(48615.0)),
            ("250000", None),
            ("noon", None),
            ("", None),
        ] {
            assert_eq!(time(value), expected, "{value}");
        }
        let span = |from: &str, to: &str| date(to).unwrap() - date(from).unwrap();
        assert_eq!(span("20240228", "20240301"), 2.0);
        assert_eq!(span("20230228", "20230301"), 1.0);
        assert_eq!(span("19991231", "20000101"), 1.0);
        assert_eq!(span("20000101", "2001.01.01"), 366.0);
        assert_eq!(date("20241301"), None);
    }

    #[test]
    fn the_injection_may_lie_before_midnight() {
        let injection = |start| Injection { activity_bq: 1.0, half_life_s: None, start: Some(start) };
        let late = injection(Start::Time(23.5 * 3600.0));
        assert_eq!(late.elapsed(0.5 * 3600.0), Ok(3600.0));
        assert_eq!(late.elapsed(23.75 * 3600.0), Ok(900.0));
        assert!(injection(Start::Time(36000.0)).elapsed(32400.0).is_err());
        let dated = injection(Start::DateTime(date("20240229").unwrap() * 86400.0 + 86000.0));
        assert_eq!(dated.elapsed(date("20240301").unwrap() * 86400.0 + 600.0), Ok(1000.0));
    }
}
