use isoscan_nn::{Error, image};
use tch::Tensor;

/// Routing vectors `[domains.len(), count]` with a 1 at the domain of each image.
///
/// # Errors
/// [`Error::Recipe`] when a domain is not below `count`.
pub fn one_hot(domains: &[usize], count: usize) -> Result<Tensor, Error> {
    let mut values = vec![0.0; domains.len() * count];
    for (row, &domain) in domains.iter().enumerate() {
        check(domain, count)?;
        values[row * count + domain] = 1.0;
    }
    image(&values, &[domains.len(), count])
}

/// The routing vector `[1, count]` with `1 - share` at domain `first` and `share` at domain `second`.
///
/// ```
/// use isoscan_nn::values;
/// use isoscan_route::mixed;
///
/// assert_eq!(values(&mixed(2, 0, 0.25, 3)?)?, [0.25, 0.0, 0.75]);
/// assert_eq!(values(&mixed(1, 1, 0.25, 3)?)?, [0.0, 1.0, 0.0]);
/// # Ok::<(), isoscan_nn::Error>(())
/// ```
///
/// # Errors
/// [`Error::Recipe`] when a domain is not below `count`.
pub fn mixed(first: usize, second: usize, share: f64, count: usize) -> Result<Tensor, Error> {
    check(first, count)?;
    check(second, count)?;
    let mut values = vec![0.0; count];
    values[first] += (1.0 - share) as f32;
    values[second] += share as f32;
    image(&values, &[1, count])
}

fn check(domain: usize, count: usize) -> Result<(), Error> {
    if domain < count {
        return Ok(());
    }
    Err(Error::Recipe { field: "domain", expected: format!("0..{count}"), found: domain as f64 })
}

#[cfg(test)]
mod tests {
    use isoscan_nn::values;

    use super::*;

    #[test]
    fn each_row_names_its_domain_and_one_too_many_is_refused() {
        assert_eq!(values(&one_hot(&[2, 0], 3).unwrap()).unwrap(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(one_hot(&[3], 3).unwrap_err().to_string(), "recipe: domain must be in 0..3, found 3");
        assert!(matches!(mixed(0, 5, 0.5, 3), Err(Error::Recipe { field: "domain", .. })));
    }
}
