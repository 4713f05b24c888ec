//! The only reader and writer of image formats, and provenance.
