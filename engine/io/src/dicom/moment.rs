//! Dates and times of an output.

/// A moment on the clock of one time zone, as DICOM writes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    days: i64,
    seconds: i64,
}

impl Moment {
    /// Of seconds since 1970-01-01 UTC; `offset` is Timezone Offset From UTC (0008,0201), such as `-0330`.
    pub(crate) fn of(unix_seconds: u64, offset: Option<&str>) -> Self {
        // The last second of the year 9999.
        let utc = unix_seconds.min(253_402_300_799) as i64;
        let local = (utc + offset.and_then(offset_seconds).unwrap_or(0)).clamp(0, 253_402_300_799);
        Self { days: local.div_euclid(86_400), seconds: local.rem_euclid(86_400) }
    }

    /// VR DA.
    pub(crate) fn date(&self) -> String {
        let (year, month, day) = civil(self.days);
        format!("{year:04}{month:02}{day:02}")
    }

    /// VR TM.
    pub(crate) fn time(&self) -> String {
        format!("{:02}{:02}{:02}", self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60)
    }
}

fn offset_seconds(offset: &str) -> Option<i64> {
    let (sign, digits) = match offset.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2).filter(|(_, minutes)| minutes.len() == 2)?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60))
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar, by whole years and months.
fn civil(mut days: i64) -> (i64, i64, i64) {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    (year, 12, 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates_of_the_time_zone() {
        for (seconds, offset, expected) in [
            (0, None, "19700101 000000"),
            (951_782_399, None, "20000228 235959"),
            (951_782_400, None, "20000229 000000"),
            (1_000_000_000, None, "20010909 014640"),
            (1_000_000_000, Some("-0330"), "20010908 221640"),
            (1_000_000_000, Some("+0200"), "20010909 034640"),
            (0, Some("-0100"), "19700101 000000"),
            (u64::MAX, None, "99991231 235959"),
        ] {
            let moment = Moment::of(seconds, offset);
            assert_eq!(format!("{} {}", moment.date(), moment.time()), expected);
        }
    }
}
