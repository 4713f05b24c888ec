//! The safe side of the plugin contract for plugin authors.
