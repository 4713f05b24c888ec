//! Tests of readers and writers: whole files in, whole files out.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests stop at the unexpected and say what they skip")]

#[path = "io/fixture.rs"]
mod fixture;

#[path = "io/dicom.rs"]
mod dicom;
#[path = "io/dicom_check.rs"]
mod dicom_check;
#[path = "io/dicom_derived.rs"]
mod dicom_derived;
#[path = "io/dicom_peers.rs"]
mod dicom_peers;
#[path = "io/dicom_pixels.rs"]
mod dicom_pixels;
#[path = "io/dicom_slices.rs"]
mod dicom_slices;
#[path = "io/dicom_volumes.rs"]
mod dicom_volumes;
#[path = "io/formats.rs"]
mod formats;
#[path = "io/nifti.rs"]
mod nifti;
#[path = "io/peers.rs"]
mod peers;
#[path = "io/regions.rs"]
mod regions;
#[path = "io/shared.rs"]
mod shared;
