//! Changes of intensity one after the other, as one clip and one line.

use toml::{Table, Value};

/// `scale * clip(normalised) + offset`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Intensities {
    pub(super) normalize: Option<Table>,
    pub(super) clip: Option<[f64; 2]>,
    pub(super) scale: f64,
    pub(super) offset: f64,
}

impl Intensities {
    /// Nothing is changed.
    pub(super) fn unchanged() -> Self {
        Self { normalize: None, clip: None, scale: 1.0, offset: 0.0 }
    }

    /// Then `scale * x + offset`.
    pub(super) fn line(&mut self, scale: f64, offset: f64) {
        (self.scale, self.offset) = (scale * self.scale, scale * self.offset + offset);
    }

    /// Then a cut at both ends.
    ///
    /// # Errors
    /// A sentence, when nothing is left or the line is flat.
    pub(super) fn cut(&mut self, low: f64, high: f64) -> Result<(), String> {
        if self.scale == 0.0 || !self.scale.is_finite() {
            return Err("the intensities before it are all the same".to_owned());
        }
        let mut ends = [low, high].map(|end| (end - self.offset) / self.scale);
        ends.sort_by(f64::total_cmp);
        if let Some([before_low, before_high]) = self.clip {
            ends = [ends[0].max(before_low), ends[1].min(before_high)];
        }
        if ends[0] >= ends[1] {
            return Err("nothing is left between its ends".to_owned());
        }
        self.clip = Some(ends);
        Ok(())
    }

    /// Then statistics of the whole image bring it to a common scale.
    ///
    /// # Errors
    /// A sentence, when the image was clipped or turned round before: the host takes them of the image as it is.
    pub(super) fn statistics(&mut self, normalize: Table) -> Result<(), String> {
        if self.clip.is_some() || self.normalize.is_some() || self.scale <= 0.0 {
            return Err("statistics can only be taken of the image before it is clipped or normalised".to_owned());
        }
        // A rising line before it changes nothing: mean, deviation and percentiles follow it.
        *self = Self { normalize: Some(normalize), ..Self::unchanged() };
        Ok(())
    }

    /// As keys of the declaration.
    pub(super) fn declared(&self) -> Table {
        let mut table = Table::new();
        if let Some(normalize) = &self.normalize {
            table.insert("normalize".to_owned(), Value::Table(normalize.clone()));
        }
        if let Some(clip) = self.clip {
            table.insert("clip".to_owned(), Value::Array(clip.map(Value::Float).to_vec()));
        }
        if (self.scale, self.offset) != (1.0, 0.0) {
            table.insert("scale".to_owned(), Value::Float(self.scale));
            table.insert("offset".to_owned(), Value::Float(self.offset));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_follow_each_other_as_one_clip_and_one_line() {
        let mut change = Intensities::unchanged();
        // -100..300 becomes 0..1, cut; then (x - 0.5) / 0.25.
        change.line(1.0 / 400.0, 0.25);
        change.cut(0.0, 1.0).unwrap();
        change.line(4.0, -2.0);
        assert_eq!((change.clip, change.scale, change.offset), (Some([-100.0, 300.0]), 0.01, -1.0));
        assert_eq!(change.cut(5.0, 6.0), Err("nothing is left between its ends".to_owned()));
        assert!(change.statistics(Table::new()).is_err());
        let mut turned = Intensities::unchanged();
        turned.line(-2.0, 0.0);
        turned.cut(-4.0, 2.0).unwrap();
        assert_eq!(turned.clip, Some([-1.0, 2.0]));
    }

    #[test]
    fn a_line_before_statistics_is_of_no_effect() {
        let mut change = Intensities::unchanged();
        change.line(3.0, 7.0);
        change.statistics(Table::new()).unwrap();
        assert_eq!((change.scale, change.offset), (1.0, 0.0));
        assert!(change.statistics(Table::new()).is_err());
    }
}
