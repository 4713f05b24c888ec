use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use isoscan_sdk::{Param, PluginError, TensorView, TensorViewMut, TrainConfig, TrainContext, Trainer};

use crate::{FILE, Line, repeat};

/// Fits the line: to the truth by least squares, or to the mean and spread of the target.
#[derive(Debug)]
pub struct LineTrainer {
    line: Line,
    rate: f64,
    wait: Duration,
    next_step: u64,
    context: TrainContext,
}

impl Trainer for LineTrainer {
    fn params() -> Vec<Param> {
        vec![
            Param::float("rate", [0.0, 1.0], 0.1, "", "share of the way to the best line that a step goes"),
            Param::int("wait_ms", [0, 1000], 0, "ms", "time that a step takes"),
            Line::scale(),
        ]
    }

    fn begin(config: &TrainConfig) -> Result<(Self, u64), PluginError> {
        let mut trainer = Self {
            line: Line { gain: 1.0, second: 0.0, offset: 0.0 },
            rate: config.params.float("rate")?,
            wait: Duration::from_millis(config.params.int("wait_ms")?.unsigned_abs()),
            next_step: 0,
            context: config.context.clone(),
        };
        if let Some(folder) = &config.resume {
            let text = fs::read(folder.join(FILE)).map_err(PluginError::failed)?;
            let (step, [gain, second, offset]): (u64, [u64; 3]) =
                serde_json::from_slice(&text).map_err(PluginError::failed)?;
            let [gain, second, offset] = [gain, second, offset].map(f64::from_bits);
            (trainer.line, trainer.next_step) = (Line { gain, second, offset }, step);
        }
        let next_step = trainer.next_step;
        Ok((trainer, next_step))
    }

    fn step(
        &mut self,
        step: u64,
        source: TensorView<'_>,
        target: TensorView<'_>,
    ) -> Result<BTreeMap<String, f64>, PluginError> {
        std::thread::sleep(self.wait);
        let [image, other] = channels(&source);
        let made = self.made(&source, target.shape);
        let loss = if self.context.paired {
            // The line moves on the coarse grid, towards the mean of the truth over each voxel.
            let [image, other] = [image, other].map(|channel| repeated(&channel, &source, target.shape));
            let error: Vec<f64> = made.iter().zip(target.as_slice()).map(|(m, t)| f64::from(m - t)).collect();
            self.line.offset -= self.rate * mean(&error);
            self.line.gain -= self.rate * slope(&error, &image);
            self.line.second -= self.rate * slope(&error, &other);
            mean(&error.iter().map(|e| e.abs()).collect::<Vec<_>>())
        } else {
            let goal = self.goal(target.as_slice());
            let [made, goal] = [made, goal.to_vec()].map(|v| v.into_iter().map(f64::from).collect::<Vec<f64>>());
            let image: Vec<f64> = image.into_iter().map(f64::from).collect();
            self.line.offset -= self.rate * (mean(&made) - mean(&goal));
            self.line.gain -= self.rate * (spread(&made) - spread(&goal)) / spread(&image).max(1e-6);
            (mean(&made) - mean(&goal)).abs()
        };
        self.next_step = step + 1;
        Ok([("error".to_owned(), loss)].into())
    }

    fn translate(&mut self, source: TensorView<'_>, mut output: TensorViewMut<'_>) -> Result<(), PluginError> {
        let made = self.made(&source, output.shape);
        output.as_mut_slice().copy_from_slice(&made);
        Ok(())
    }

    fn save(&mut self, dir: &Path, checkpoint: bool) -> Result<(), PluginError> {
        let write = |folder: &str, text: String| {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(FILE), text)).map_err(PluginError::failed)
        };
        write("weights", serde_json::to_string(&self.line).map_err(PluginError::failed)?)?;
        if checkpoint {
            let Line { gain, second, offset } = self.line;
            let state = (self.next_step, [gain, second, offset].map(f64::to_bits));
            write("checkpoint", serde_json::to_string(&state).map_err(PluginError::failed)?)?;
        }
        Ok(())
    }
}

impl LineTrainer {
    fn made(&self, source: &TensorView<'_>, shape: [usize; 5]) -> Vec<f32> {
        let [image, other] = channels(source);
        let values: Vec<f32> = image.iter().zip(&other).map(|(&a, &b)| self.line.of(a, b)).collect();
        let mut made = vec![0.0; shape.iter().product()];
        repeat(&values, source.shape, shape, &mut made);
        made
    }

    /// The target's share of the target domain.
    fn goal<'a>(&self, target: &'a [f32]) -> &'a [f32] {
        let domains = self.context.domains.len().max(1);
        let wanted = self.context.domains.iter().position(|name| Some(name) == self.context.target_domain.as_ref());
        let share = target.len() / domains;
        &target[wanted.unwrap_or(0) * share..][..share]
    }
}

/// The first channel of every item, and the second, or zeros.
fn channels(source: &TensorView<'_>) -> [Vec<f32>; 2] {
    let [_, count, z, y, x] = source.shape;
    let of = |channel: usize| source.as_slice().chunks(z * y * x).skip(channel).step_by(count).flatten().copied();
    let image: Vec<f32> = of(0).collect();
    let other = if count > 1 { of(1).collect() } else { vec![0.0; image.len()] };
    [image, other]
}

fn repeated(channel: &[f32], source: &TensorView<'_>, shape: [usize; 5]) -> Vec<f64> {
    let mut out = vec![0.0; shape.iter().product()];
    repeat(channel, source.shape, shape, &mut out);
    out.into_iter().map(f64::from).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn spread(values: &[f64]) -> f64 {
    let middle = mean(values);
    mean(&values.iter().map(|v| (v - middle).powi(2)).collect::<Vec<_>>()).sqrt()
}

/// Slope of `error` over `values`; 0 where they do not differ.
fn slope(error: &[f64], values: &[f64]) -> f64 {
    let (middle, width) = (mean(values), spread(values));
    if width < 1e-6 {
        return 0.0;
    }
    mean(&error.iter().zip(values).map(|(e, v)| e * (v - middle)).collect::<Vec<_>>()) / width.powi(2)
}
