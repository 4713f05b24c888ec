//! A plugin that fails in every way a plugin can, for the tests.
