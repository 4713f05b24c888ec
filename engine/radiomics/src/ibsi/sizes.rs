use super::aggregate::{Found, Matrix};
use crate::family::Named;
use crate::size_matrix::{Emphases, SizeMatrix};

/// Grey level run length matrix.
pub(crate) const GLRLM: [Named; 16] = [
    ("rlm_sre", Some("22OV")),
    ("rlm_lre", Some("W4KF")),
    ("rlm_lgre", Some("V3SW")),
    ("rlm_hgre", Some("G3QZ")),
    ("rlm_srlge", Some("HTZT")),
    ("rlm_srhge", Some("GD3A")),
    ("rlm_lrlge", Some("IVPO")),
    ("rlm_lrhge", Some("3KUM")),
    ("rlm_glnu", Some("R5YN")),
    ("rlm_glnu_norm", Some("OVBL")),
    ("rlm_rlnu", Some("W92Y")),
    ("rlm_rlnu_norm", Some("IC23")),
    ("rlm_r_perc", Some("9ZK5")),
    ("rlm_gl_var", Some("8CE5")),
    ("rlm_rl_var", Some("SXLW")),
    ("rlm_rl_entr", Some("HJ9O")),
];

/// Grey level size zone matrix.
pub(crate) const GLSZM: [Named; 16] = [
    ("szm_sze", Some("5QRC")),
    ("szm_lze", Some("48P8")),
    ("szm_lgze", Some("XMSY")),
    ("szm_hgze", Some("5GN9")),
    ("szm_szlge", Some("5RAI")),
    ("szm_szhge", Some("HW1V")),
    ("szm_lzlge", Some("YH51")),
    ("szm_lzhge", Some("J17V")),
    ("szm_glnu", Some("JNSA")),
    ("szm_glnu_norm", Some("Y1RO")),
    ("szm_zsnu", Some("4JP3")),
    ("szm_zsnu_norm", Some("VB3A")),
    ("szm_z_perc", Some("P30P")),
    ("szm_gl_var", Some("BYLV")),
    ("szm_zs_var", Some("3NSA")),
    ("szm_zs_entr", Some("GU8N")),
];

/// Grey level distance zone matrix.
pub(crate) const GLDZM: [Named; 16] = [
    ("dzm_sde", Some("0GBI")),
    ("dzm_lde", Some("MB4I")),
    ("dzm_lgze", Some("S1RA")),
    ("dzm_hgze", Some("K26C")),
    ("dzm_sdlge", Some("RUVG")),
    ("dzm_sdhge", Some("DKNJ")),
    ("dzm_ldlge", Some("A7WM")),
    ("dzm_ldhge", Some("KLTH")),
    ("dzm_glnu", Some("VFT7")),
    ("dzm_glnu_norm", Some("7HP3")),
    ("dzm_zdnu", Some("V294")),
    ("dzm_zdnu_norm", Some("IATH")),
    ("dzm_z_perc", Some("VIWW")),
    ("dzm_gl_var", Some("QK93")),
    ("dzm_zd_var", Some("7WT1")),
    ("dzm_zd_entr", Some("GBDU")),
];

/// Neighbouring grey level dependence matrix.
pub(crate) const NGLDM: [Named; 17] = [
    ("ngl_lde", Some("SODN")),
    ("ngl_hde", Some("IMOQ")),
    ("ngl_lgce", Some("TL9H")),
    ("ngl_hgce", Some("OAE7")),
    ("ngl_ldlge", Some("EQ3F")),
    ("ngl_ldhge", Some("JA6D")),
    ("ngl_hdlge", Some("NBZI")),
    ("ngl_hdhge", Some("9QMG")),
    ("ngl_glnu", Some("FP8K")),
    ("ngl_glnu_norm", Some("5SPA")),
    ("ngl_dcnu", Some("Z87G")),
    ("ngl_dcnu_norm", Some("OKJI")),
    ("ngl_dc_perc", Some("6XV8")),
    ("ngl_gl_var", Some("1PFV")),
    ("ngl_dc_var", Some("DNX2")),
    ("ngl_dc_entr", Some("FCBV")),
    ("ngl_dc_energy", Some("CAS9")),
];

/// Features of [`Sizes`].
pub(super) const NUMBERS: usize = 17;

/// Groups of voxels by level and size, and the number of voxels that they are groups of.
pub(super) struct Sizes {
    pub(super) matrix: SizeMatrix,
    pub(super) voxels: f64,
}

impl Sizes {
    pub(super) fn sum_of(parts: &[&Self]) -> Self {
        Self {
            matrix: SizeMatrix::sum_of(parts.iter().map(|part| (1.0, &part.matrix))),
            voxels: parts.iter().map(|part| part.voxels).sum(),
        }
    }
}

impl Matrix for Sizes {
    fn merged(parts: &[Self]) -> Self {
        Self::sum_of(&parts.iter().collect::<Vec<_>>())
    }

    /// The order is that of the tables of names; the energy, last, has a name for the NGLDM only.
    fn features(&self) -> Found {
        self.matrix.emphases(self.voxels, 0.0).map(|emphases| in_order(&emphases).to_vec())
    }
}

fn in_order(emphases: &Emphases) -> [f64; NUMBERS] {
    [
        emphases.small,
        emphases.large,
        emphases.low_grey,
        emphases.high_grey,
        emphases.small_low_grey,
        emphases.small_high_grey,
        emphases.large_low_grey,
        emphases.large_high_grey,
        emphases.grey_non_uniformity,
        emphases.grey_non_uniformity_normalised,
        emphases.size_non_uniformity,
        emphases.size_non_uniformity_normalised,
        emphases.percentage,
        emphases.grey_variance,
        emphases.size_variance,
        emphases.entropy,
        emphases.energy,
    ]
}
