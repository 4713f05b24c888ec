//! Radiomic features by IBSI and PyRadiomics definitions.
