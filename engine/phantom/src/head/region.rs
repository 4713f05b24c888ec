use crate::head::shape::sylvian_z;
use crate::head::substance::label;

/// The numbers of the region map, which divides the brain as PET studies do; 0 is no region.
///
/// Left is the patient's left (LPS +x). Voxels of findings belong to no region.
pub const HEAD_REGIONS: &[(i32, &str)] = &[
    (1, "frontal-left"),
    (2, "frontal-right"),
    (3, "temporal-left"),
    (4, "temporal-right"),
    (5, "parietal-left"),
    (6, "parietal-right"),
    (7, "occipital-left"),
    (8, "occipital-right"),
    (9, "caudate"),
    (10, "putamen"),
    (11, "pallidum"),
    (12, "thalamus"),
    (13, "white-matter"),
    (14, "cerebellar-grey"),
    (15, "pons"),
];

/// Regions whose uptake falls in the plan of a temporo-parietal hypometabolism.
pub(crate) const TEMPORO_PARIETAL: [u8; 4] = [3, 4, 5, 6];

/// The region that uptake ratios refer to: cerebellar grey matter.
pub(crate) const REFERENCE: u8 = 14;

/// The region of a healthy voxel of this label at a point of the head's frame.
pub(crate) fn region(label: u8, [x, y, z]: [f64; 3]) -> u8 {
    match label {
        label::GREY => lobe([x, y, z]) + u8::from(x < 0.0),
        label::CAUDATE => 9,
        label::PUTAMEN => 10,
        label::PALLIDUM => 11,
        label::THALAMUS => 12,
        label::WHITE => 13,
        label::CEREBELLAR_GREY => REFERENCE,
        label::BRAINSTEM if (-44.0..-20.0).contains(&z) => 15,
        _ => 0,
    }
}

/// The left lobe's number.
fn lobe([x, y, z]: [f64; 3]) -> u8 {
    match () {
        () if y > 48.0 => 7,
        () if z < sylvian_z(y) && y > -45.0 && x.abs() > 16.0 => 3,
        () if y < -14.0 + 0.45 * z => 1,
        () => 5,
    }
}
