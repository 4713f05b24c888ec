use isoscan_imaging::{Modality, Unit};

use crate::{Anatomy, Finding, HEAD_LABELS, Head, TruthRow};

impl Head {
    /// The head as the CT scanner sees it: densities in HU of the same voxels, for [`crate::scan`].
    ///
    /// Every substance has its density with a little texture; density falls where the tissue holds more water.
    pub fn anatomy(&self) -> Anatomy {
        let truth = self.truth_volume(Modality::Ct, Unit::Hounsfield, |at| {
            let substance = &self.table[usize::from(self.substance[at])];
            let texture = f64::from(self.texture[at]).clamp(-4.0, 4.0);
            (substance.hu - substance.texture_hu * texture) as f32
        });
        let labels = self.labels();
        let mut row = self.row();
        row.set_volumes(&labels, HEAD_LABELS);
        Anatomy {
            body_part: "HEAD",
            truth,
            labels,
            label_names: HEAD_LABELS,
            findings: self.dense_findings(),
            row,
            grid: self.settings.grid,
            start_mm: self.start_mm(),
        }
    }

    /// The findings in the words of the CT phantoms: each by its innermost tissue.
    fn dense_findings(&self) -> Vec<Finding> {
        let number = |name: &str| HEAD_LABELS.iter().find(|(_, n)| *n == name).map_or(0, |(number, _)| *number);
        let of = |finding: &crate::HeadFinding| {
            finding.parts.first().map(|part| Finding {
                kind: finding.kind.name(),
                label: number(part.label),
                center_mm: finding.center_mm,
                diameter_mm: 2.0 * finding.radius_mm,
                mean_hu: part.mean_hu,
            })
        };
        self.findings.iter().filter_map(of).collect()
    }

    /// The truth as one row of a table: the subject's numbers, uptakes (`suv_<region>`, `suvr_<region>`), per region of
    /// lowered uptake its factor and the lost share of its cortex (`uptake_<region>`, `thinning_<region>`) and, per
    /// finding in order, `finding_<n>_mm3` of all its tissues.
    pub fn row(&self) -> TruthRow {
        let mut row = TruthRow::default();
        let b = &self.biology;
        row.set("age_a", b.age_years);
        for (axis, scale) in ["x", "y", "z"].iter().zip(b.scale) {
            row.set(format!("scale_{axis}"), scale);
        }
        for (name, value) in [
            ("subarachnoid_mm", b.subarachnoid_mm),
            ("sulcus_mm", b.sulcus_mm),
            ("ventricle_scale", b.ventricle_scale),
            ("cortex_mm", b.cortex_mm),
            ("skull_mm", b.skull_mm),
            ("scalp_mm", b.scalp_mm),
        ] {
            row.set(name, value);
        }
        let truth = self.truth();
        for (prefix, values) in [("suv", &truth.suv), ("suvr", &truth.suvr)] {
            for (region, value) in values {
                row.set(format!("{prefix}_{}", region.replace('-', "_")), *value);
            }
        }
        for lowered in &self.hypometabolism {
            let region = lowered.region.replace('-', "_");
            row.set(format!("uptake_{region}"), lowered.factor);
            row.set(format!("thinning_{region}"), lowered.thinning);
        }
        for (number, finding) in self.findings.iter().enumerate() {
            row.set(format!("finding_{number}_mm3"), finding.parts.iter().map(|part| part.volume_mm3).sum());
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use crate::head::sampling::volume_on;
    use crate::head::substance::label;
    use crate::{Findings, Grid, Head, HeadSettings, Protocol, head, protocol, scan};

    fn subject() -> Head {
        let grid = Grid::new([96, 96], 2.2, 20.0).unwrap().with_truth_spacing(1.1, 1.25).unwrap();
        let findings = Findings { haemorrhages: 1, ..Findings::default() };
        let settings = HeadSettings { findings, findings_range_mm: [4.0, 8.0], ..HeadSettings::new(grid) };
        head(5, 3, &settings).unwrap()
    }

    #[test]
    fn ct_of_the_head_has_the_densities_of_its_tissues() {
        let head = subject();
        let anatomy = head.anatomy();
        let quiet = Protocol {
            exposure_mas: 1e6,
            electronic_noise: 0.0,
            slice_thickness_mm: 5.0,
            slice_spacing_mm: 5.0,
            ..*protocol("h-a-brain").unwrap()
        };
        let image = scan(&anatomy, &quiet, 1, 0).unwrap();
        assert_eq!(image.geometry(), &head.slices(5.0).unwrap());
        let exact = volume_on(&anatomy.truth, image.geometry(), -1000.0).unwrap();
        // Means of the image and of the truth over voxels that the label fills with all their neighbours in plane.
        let means = |number: u8, depth: usize| {
            let share = head.fraction_on(i32::from(number), image.geometry()).unwrap();
            let share = share.voxels();
            let deep = |k: usize, j: usize, i: usize| {
                let near = |at: usize| at.saturating_sub(depth)..=(at + depth).min(95);
                near(j).all(|j| near(i).all(|i| share[[k, j, i]] > 0.999))
            };
            let all = image
                .voxels()
                .indexed_iter()
                .filter(|((k, j, i), _)| deep(*k, *j, *i))
                .map(|(at, _)| at)
                .collect::<Vec<_>>();
            assert!(all.len() > 5, "label {number}: {} voxels", all.len());
            [&image, &exact].map(|v| all.iter().map(|&at| f64::from(v.voxels()[at])).sum::<f64>() / all.len() as f64)
        };
        let blood = anatomy.findings[0].mean_hu;
        let rows = [
            (label::WHITE, 28.0, 2),
            (label::THALAMUS, 37.0, 1),
            (label::HAEMORRHAGE, blood, 1),
            (label::OUTSIDE, -1000.0, 2),
        ];
        for (number, mean_hu, depth) in rows {
            let [found, expected] = means(number, depth);
            assert!((found - expected).abs() < 2.5, "label {number}: {found} HU for {expected}");
            // The texture of few voxels does not average out.
            assert!((expected - mean_hu).abs() < 6.0, "label {number}: {expected} HU in the truth for {mean_hu}");
        }
        assert!(image.as_slice().iter().any(|&v| v > 700.0), "bone");
    }

    #[test]
    fn truth_rows_of_ct_and_head_agree() {
        let head = subject();
        let row = head.anatomy().row;
        let truth = head.truth();
        for (name, volume) in &truth.volume_mm3 {
            let found = row.number(&format!("{}_mm3", name.replace('-', "_"))).unwrap();
            assert!((found / volume - 1.0).abs() < 1e-9, "{name}");
        }
        assert_eq!(row.number("suvr_cerebellar_grey"), Some(1.0));
        let finding: f64 = head.findings[0].parts.iter().map(|part| part.volume_mm3).sum();
        assert_eq!(row.number("finding_0_mm3"), Some(finding));
        assert!(finding > 1000.0);
    }
}
