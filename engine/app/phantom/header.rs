//! What the header of a DICOM phantom tells.

use isoscan_io::{DxTechnique, MrTechnique, NewSeries, PtTechnique, Technique};
use isoscan_phantom::{Acquired, Facts, Order};

/// The header of one series; `session` tells the stays of a travelling subject apart.
pub(super) fn header(order: &Order, facts: &Facts, session: &str) -> NewSeries {
    let (seed, subject) = (order.seed, order.subject);
    let anatomy = order.kind.anatomy();
    let (patient_id, study) = if anatomy == "abdomen" {
        (format!("PHANTOM-{seed}-{subject:03}"), format!("phantom {seed} {subject}"))
    } else {
        (
            format!("PHANTOM-{}-{seed}-{subject:03}", anatomy.to_uppercase()),
            format!("phantom {anatomy} {seed} {subject}"),
        )
    };
    let uid_seed = if session.is_empty() { study } else { format!("{study} {session}") };
    let series = NewSeries {
        patient_id,
        description: facts.description.clone(),
        thickness_mm: facts.thickness_mm,
        number: facts.series_number,
        uid_seed,
        manufacturer: facts.manufacturer.to_owned(),
        model: facts.model.to_owned(),
        body_part: facts.body_part.to_owned(),
        contrast_agent: facts.contrast_agent.to_owned(),
        ..NewSeries::default()
    };
    match facts.acquired {
        Acquired::Ct { kernel, kvp, exposure_mas } => {
            NewSeries { kernel: kernel.to_owned(), kvp, exposure_mas, technique: Technique::Ct, ..series }
        }
        Acquired::Mr { sequence, variant, volumetric, tr_ms, te_ms, ti_ms, flip_deg, field_tesla } => {
            let sequence = MrTechnique {
                sequence: sequence.to_owned(),
                variant: variant.to_owned(),
                volumetric,
                tr_ms,
                te_ms,
                ti_ms,
                flip_deg: Some(flip_deg),
                field_t: Some(field_tesla),
                echo_train: Some(1),
            };
            NewSeries { technique: Technique::Mr(sequence), ..series }
        }
        Acquired::Pt { tracer } => {
            let tracer =
                PtTechnique { tracer: tracer.to_owned(), activity_bq: 1.85e8, weight_kg: 70.0, frame_s: 1200.0 };
            NewSeries { technique: Technique::Pt(tracer), ..series }
        }
        Acquired::Dx { kvp, bright_is_dense } => {
            let view = DxTechnique { view: "PA".to_owned(), orientation: "L\\F".to_owned(), bright_is_dense };
            NewSeries { kvp, technique: Technique::Dx(view), ..series }
        }
    }
}
