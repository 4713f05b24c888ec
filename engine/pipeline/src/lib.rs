//! Plans and runs one translation: prepare, patch, call, blend, restore.
