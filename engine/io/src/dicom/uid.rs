//! UIDs that follow from content: `2.25.` and a version 5 UUID as one decimal number (PS3.5 annex B.2).

use uuid::Uuid;

/// Namespace of every UUID made here.
const ISOSCAN: Uuid = Uuid::from_u128(0x6f0c_7c3e_5b1d_4f6a_9a51_3d07_c2e8_b4f1);

/// The UID named by `parts`; other parts, or the same cut elsewhere, name another.
pub(crate) fn uid(parts: &[&str]) -> String {
    let mut name = String::new();
    for part in parts {
        name.push_str(&format!("{}:{part};", part.len()));
    }
    format!("2.25.{}", Uuid::new_v5(&ISOSCAN, name.as_bytes()).as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_repeat_for_the_same_parts_and_differ_for_others() {
        let one = uid(&["1.2.3", "ab"]);
        assert_eq!(one, uid(&["1.2.3", "ab"]));
        assert_ne!(one, uid(&["1.2.3a", "b"]));
        assert!(one.len() <= 64 && one.chars().all(|c| c.is_ascii_digit() || c == '.'), "{one}");
    }
}
