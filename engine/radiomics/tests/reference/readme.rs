/// Refuses a README whose section `title` does not hold just these table rows.
pub(crate) fn require_table(title: &str, rows: &[String]) {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with(title));
    let section = section.unwrap_or_else(|| panic!("the README has no section {title}"));
    let found: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(found.join("\n"), rows.join("\n"), "the table under '{title}' should be:\n{}\n", rows.join("\n"));
}
