//! Opens plugins and calls them without being hurt by them.
