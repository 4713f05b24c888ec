use isoscan_imaging::{Error, Geometry, Modality, Unit, Volume, gaussian};

use crate::RadiographProtocol;
use crate::radiograph::image;
use crate::random::{Purpose, hash, keyed, poisson};

/// Areal densities of an object, g/cm², one value per pixel.
#[derive(Clone, Copy)]
pub(crate) struct Areal<'a> {
    pub(crate) water: &'a [f64],
    /// None for the object without bone.
    pub(crate) bone: Option<&'a [f64]>,
}

/// One exposure of a subject with one of the protocol's beams.
pub(crate) struct Exposure<'a> {
    pub(crate) seed: u64,
    pub(crate) subject: u32,
    pub(crate) protocol: &'a RadiographProtocol,
    /// 0 for the beam of high energy, 1 for the one of low.
    pub(crate) beam: usize,
}

impl Exposure<'_> {
    /// The optical density that one exposure measures.
    pub(crate) fn measured(&self, areal: &Areal<'_>, geometry: &Geometry) -> Result<Volume, Error> {
        let mut counts = self.quanta(areal, geometry)?;
        let columns = geometry.size()[0];
        let key = Purpose::Radiograph(hash(self.protocol.id));
        for (row, counts) in counts.chunks_mut(columns).enumerate() {
            let mut random = keyed(self.seed, self.subject, key, self.beam as u32, row as u32);
            counts.iter_mut().for_each(|count| *count = poisson(&mut random, *count));
        }
        self.density(&counts, geometry)
    }

    /// The optical density without noise.
    pub(crate) fn expected(&self, areal: &Areal<'_>, geometry: &Geometry) -> Result<Volume, Error> {
        self.density(&self.quanta(areal, geometry)?, geometry)
    }

    /// Expected photons per pixel, primary and scatter.
    fn quanta(&self, areal: &Areal<'_>, geometry: &Geometry) -> Result<Vec<f64>, Error> {
        let beam = self.protocol.beams[self.beam];
        let paths: Vec<f64> = match areal.bone {
            Some(bone) => {
                areal.water.iter().zip(bone).map(|(w, b)| beam.water_cm2_per_g * w + beam.bone_cm2_per_g * b).collect()
            }
            None => areal.water.iter().map(|w| beam.water_cm2_per_g * w).collect(),
        };
        let source = paths.iter().map(|p| (self.protocol.scatter * p * (-p).exp()) as f32).collect();
        let sigma = self.protocol.scatter_mm;
        let source = image(source, geometry, Modality::Dx, Unit::Arbitrary)?;
        let scatter = gaussian(&source, [sigma, sigma, 0.0])?;
        let open = self.open(geometry);
        Ok(paths.iter().zip(scatter.as_slice()).map(|(p, &s)| open * ((-p).exp() + f64::from(s))).collect())
    }

    /// Photons per pixel without an object.
    fn open(&self, geometry: &Geometry) -> f64 {
        let [width, height, _] = geometry.spacing_mm();
        self.protocol.beams[self.beam].photons_per_mm2 * width * height
    }

    /// `log₁₀(N₀/N)` of counts blurred by the detector, at least one.
    fn density(&self, counts: &[f64], geometry: &Geometry) -> Result<Volume, Error> {
        let open = self.open(geometry);
        let shares = counts.iter().map(|count| (count / open) as f32).collect();
        let sigma = self.protocol.blur_mm;
        let blurred = gaussian(&image(shares, geometry, Modality::Dx, Unit::OpticalDensity)?, [sigma, sigma, 0.0])?;
        let least = (1.0 / open) as f32;
        Ok(blurred.map(|share| -share.max(least).log10()))
    }
}
