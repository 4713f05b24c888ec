use super::settings::Discretisation;
use crate::Error;
use crate::discretise::Discretised;

/// Grey levels of `intensities`; `low` is the lower bound of the resegmentation range, -∞ where it is open.
///
/// # Errors
/// [`Error::TooManyLevels`]; [`Error::InvalidSetting`] when intensities that are not whole numbers from 1 are to be the
/// levels.
pub(super) fn discretise(intensities: &[f64], rule: Discretisation, low: f64) -> Result<Discretised, Error> {
    let extremes = |(low, high): (f64, f64), &x: &f64| (low.min(x), high.max(x));
    let (minimum, maximum) = intensities.iter().fold((f64::INFINITY, f64::NEG_INFINITY), extremes);
    let levels: Vec<u32> = match rule {
        Discretisation::None => {
            if let Some(found) = intensities.iter().find(|x| **x < 1.0 || x.fract() != 0.0) {
                return Err(Error::InvalidSetting {
                    name: "discretisation".to_owned(),
                    expected: "a fixed bin size or number, as not all intensities are whole numbers from 1",
                    found: found.to_string(),
                });
            }
            intensities.iter().map(|&x| x as u32).collect()
        }
        Discretisation::FixedBinSize(width) => {
            let lowest = if low.is_finite() { low } else { minimum };
            intensities.iter().map(|x| (((x - lowest) / width).floor() + 1.0) as u32).collect()
        }
        Discretisation::FixedBinNumber(bins) => {
            let range = maximum - minimum;
            let level = |x: f64| (f64::from(bins) * (x - minimum) / range).floor() + 1.0;
            intensities.iter().map(|&x| if x < maximum { level(x) as u32 } else { bins }).collect()
        }
    };
    Discretised::of_levels(&levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(intensities: &[f64], rule: Discretisation, low: f64) -> Vec<u32> {
        let found = discretise(intensities, rule, low).unwrap();
        found.levels.iter().map(|&position| found.grey[usize::from(position) - 1]).collect()
    }

    #[test]
    fn bins_start_at_the_range_or_at_the_minimum() {
        let intensities = [-30.0, -1.0, 0.0, 24.9, 25.0];
        assert_eq!(levels(&intensities, Discretisation::FixedBinSize(25.0), -50.0), [1, 2, 3, 3, 4]);
        assert_eq!(levels(&intensities, Discretisation::FixedBinSize(25.0), f64::NEG_INFINITY), [1, 2, 2, 3, 3]);
    }

    #[test]
    fn the_maximum_lies_in_the_last_bin() {
        let rule = Discretisation::FixedBinNumber(4);
        assert_eq!(levels(&[0.0, 1.0, 2.0, 7.9, 8.0], rule, f64::NEG_INFINITY), [1, 1, 2, 4, 4]);
        assert_eq!(levels(&[5.0, 5.0], rule, f64::NEG_INFINITY), [4, 4]);
    }

    #[test]
    fn intensities_that_are_no_levels_are_refused() {
        assert_eq!(levels(&[1.0, 6.0], Discretisation::None, 0.0), [1, 6]);
        for x in [0.0, 1.5] {
            let refused = discretise(&[1.0, x], Discretisation::None, 0.0).err().unwrap().to_string();
            assert!(refused.starts_with("setting discretisation must be a fixed bin size"), "{refused}");
        }
    }
}
