use std::{fs, ops::RangeInclusive, path::Path};

use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// Refuses a number of a recipe outside of its range, with field, range and number in the message.
///
/// ```
/// use isoscan_nn::in_range;
///
/// assert!(in_range("pool", 50.0, 0.0..=9999.0).is_ok());
/// let refused = in_range("average_decay", 1.5, 0.0..=1.0).unwrap_err();
/// assert_eq!(refused.to_string(), "recipe: average_decay must be in 0..=1, found 1.5");
/// ```
///
/// # Errors
/// [`Error::Recipe`].
pub fn in_range(field: &'static str, found: f64, range: RangeInclusive<f64>) -> Result<(), Error> {
    if range.contains(&found) {
        return Ok(());
    }
    Err(Error::Recipe { field, expected: format!("{range:?}").replace(".0", ""), found })
}

/// Reads a recipe from its JSON file.
///
/// # Errors
/// [`Error::RecipeFile`] when it cannot be read, [`Error::RecipeText`] when it is not such a recipe.
pub fn read_recipe<R: DeserializeOwned>(path: &Path) -> Result<R, Error> {
    let text = fs::read(path).map_err(|source| Error::RecipeFile { path: path.into(), source })?;
    serde_json::from_slice(&text).map_err(|source| Error::RecipeText { path: path.into(), source })
}

/// Writes a recipe as a JSON file; the same recipe gives the same bytes.
///
/// # Errors
/// [`Error::RecipeFile`] when the folder cannot be written, [`Error::RecipeText`] when the recipe cannot be put into JSON.
pub fn write_recipe<R: Serialize>(path: &Path, recipe: &R) -> Result<(), Error> {
    let text =
        serde_json::to_string_pretty(recipe).map_err(|source| Error::RecipeText { path: path.into(), source })?;
    fs::write(path, text + "\n").map_err(|source| Error::RecipeFile { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GeneratorRecipe, Norm};

    #[test]
    fn a_recipe_comes_back_and_one_of_an_earlier_version_takes_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recipe.json");
        let recipe = GeneratorRecipe { width: 4, blocks: 2, norm: Norm::Group, ..GeneratorRecipe::default() };
        write_recipe(&path, &recipe).unwrap();
        assert_eq!(read_recipe::<GeneratorRecipe>(&path).unwrap(), recipe);

        fs::write(&path, r#"{"width": 4, "kernel": 3, "halvings": 0, "blocks": 1, "norm": "none"}"#).unwrap();
        let read: GeneratorRecipe = read_recipe(&path).unwrap();
        assert_eq!((read.dim, read.channels_in, read.channels_out), (crate::Dim::Two, 1, 1));
    }

    #[test]
    fn unreadable_and_foreign_recipes_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recipe.json");
        assert!(matches!(read_recipe::<GeneratorRecipe>(&path), Err(Error::RecipeFile { .. })));
        fs::write(&path, r#"{"width": 4, "colour": "red"}"#).unwrap();
        assert!(matches!(read_recipe::<GeneratorRecipe>(&path), Err(Error::RecipeText { .. })));
    }
}
