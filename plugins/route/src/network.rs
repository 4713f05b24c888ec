use isoscan_nn::{
    Activation, Architecture, Conv, ConvBlock, ConvShape, Dim, Error, Linear, Modulation, Norm, Parameters,
    ResidualBlock, ResidualShape, Up, UpKind, in_range, polyphase_split,
};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How the routing vector acts on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// It weights the branches of the decoder and scales and shifts their result: RouteGAN.
    Both,
    /// It weights the branches alone.
    Routes,
    /// It scales and shifts the features of a decoder with one branch: AdaIN-switchable networks (Yang et al. 2021).
    Adain,
    /// It lies beside the image as constant planes: StarGAN (Choi et al. 2018).
    Label,
}

/// The numbers that define a [`RoutedNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutedRecipe {
    /// Domains, the length of the routing vector, 2 to 64.
    pub domains: i64,
    /// Channels on the full grid, doubled by each level. 1 to 256.
    pub width: i64,
    /// Times the grid is halved, 1 to 3.
    pub levels: i64,
    /// Parallel branches of each layer of the decoder, 1 to 16; the conditionings without routes take one.
    pub routes: i64,
    /// How the routing vector acts.
    pub conditioning: Conditioning,
    /// Normalisation before the scale and shift; with statistics a voxel depends on its whole slice.
    pub norm: Norm,
}

/// Width of the vector that the router makes of a routing vector.
const HIDDEN: i64 = 32;

impl RoutedRecipe {
    /// Grid extents must be multiples of this: 2 to the number of levels.
    pub fn multiple(&self) -> usize {
        1 << self.levels.clamp(1, 3)
    }

    /// Receptive field radius in voxels, rounded up to [`RoutedRecipe::multiple`].
    ///
    /// Stem and head reach 1. Entering level l, whose voxel stands for 2^l, reaches 2^(l-1) by its phases and 3 * 2^l by three
    /// 3x3; the deepest layer of the decoder 2^levels; coming back to level l 3 * 2^l by resizing with its 3x3
    /// and 2^l by the routed layer. With a norm the true radius is the whole extent; this counts the convolutions alone.
    pub fn halo(&self) -> usize {
        let levels = self.levels.clamp(1, 3) as u32;
        let down: usize = (1..=levels).map(|level| (1 << (level - 1)) + (3 << level)).sum();
        let up: usize = (0..levels).map(|level| 4 << level).sum();
        (2 + down + (1 << levels) + up).next_multiple_of(self.multiple())
    }

    fn check(&self) -> Result<(), Error> {
        in_range("domains", self.domains as f64, 2.0..=64.0)?;
        in_range("width", self.width as f64, 1.0..=256.0)?;
        in_range("levels", self.levels as f64, 1.0..=3.0)?;
        in_range("routes", self.routes as f64, 1.0..=16.0)
    }

    fn branches(&self) -> i64 {
        match self.conditioning {
            Conditioning::Both | Conditioning::Routes => self.routes,
            Conditioning::Adain | Conditioning::Label => 1,
        }
    }

    fn modulates(&self) -> bool {
        matches!(self.conditioning, Conditioning::Both | Conditioning::Adain)
    }
}

/// The generator: an encoder that knows no domain, a decoder whose layers follow the routing vector, a residual head.
///
/// Encoder: stem, then per level the four phases of the grid, a 3x3 and a residual block. Decoder: per level `B` parallel 3x3,
/// weighted by a softmax of the router's vector, then scaled and shifted by it; up by linear resizing; skips by
/// concatenation. LeakyReLU 0.2 throughout, since without norm plain ReLUs die early. Edges repeat the last voxel.
#[derive(Debug)]
pub struct RoutedNet {
    recipe: RoutedRecipe,
    stem: ConvBlock,
    down: Vec<(ConvBlock, ResidualBlock)>,
    router: Linear,
    deepest: RoutedLayer,
    up: Vec<(Up, RoutedLayer)>,
    head: Conv,
}

impl Architecture for RoutedNet {
    type Recipe = RoutedRecipe;

    fn build(p: &mut Parameters, recipe: &RoutedRecipe) -> Result<Self, Error> {
        recipe.check()?;
        let RoutedRecipe { domains, width, levels, norm, .. } = *recipe;
        let same = |channels| ConvShape::same(Dim::Two, channels, 3);
        let planes = if recipe.conditioning == Conditioning::Label { domains } else { 0 };
        let stem = ConvBlock::new(p, "stem", same([1 + planes, width]), norm, Activation::Leaky)?;
        let mut down = Vec::new();
        for level in 1..=levels {
            let (phases, channels) = (4 * (width << (level - 1)), width << level);
            let name = format!("down{level}");
            let entry = ConvBlock::new(p, &name, same([phases, channels]), norm, Activation::Leaky)?;
            let shape = ResidualShape {
                activation: Activation::Leaky,
                ..ResidualShape::plain(Dim::Two, [channels, channels], norm)
            };
            down.push((entry, ResidualBlock::new(p, &format!("{name}.block"), shape)?));
        }
        let router = Linear::new(p, "router", [domains, HIDDEN], 1.0)?;
        let channels = width << levels;
        let deepest = RoutedLayer::new(p, "deepest", recipe, [channels, channels])?;
        let mut up = Vec::new();
        for level in (0..levels).rev() {
            let channels = [width << (level + 1), width << level];
            let name = format!("up{level}");
            let entry = Up::new(p, &name, Dim::Two, UpKind::Resize, channels, same(channels).deviation)?;
            up.push((entry, RoutedLayer::new(p, &format!("{name}.routed"), recipe, [2 * channels[1], channels[1]])?));
        }
        let shape = same([width, 1]);
        let head = Conv::new(p, "head", ConvShape { deviation: 0.1 * shape.deviation, ..shape })?;
        Ok(Self { recipe: recipe.clone(), stem, down, router, deepest, up, head })
    }
}

impl RoutedNet {
    /// The numbers it was built from.
    pub fn recipe(&self) -> &RoutedRecipe {
        &self.recipe
    }

    /// Translates `[batch, 1, y, x]` along `route`, `[batch, domains]` or `[1, domains]`: the image plus its
    /// [`RoutedNet::residual`].
    ///
    /// # Errors
    /// As [`RoutedNet::residual`].
    pub fn forward(&self, image: &Tensor, route: &Tensor) -> Result<Tensor, Error> {
        Ok(image.f_add(&self.residual(image, route)?)?)
    }

    /// What a translation adds to the image; same shape, same scale.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when image or route have another shape, or an extent is no multiple of
    /// [`RoutedRecipe::multiple`].
    pub fn residual(&self, image: &Tensor, route: &Tensor) -> Result<Tensor, Error> {
        let mut features = self.encoded(image, route)?;
        let hidden = self.router.forward(&self.spread(image, route)?)?.f_silu()?;
        let deepest = features.pop().ok_or(Error::Condition { expected: true })?;
        let mut x = self.deepest.forward(&deepest, &hidden)?;
        for (entry, layer) in &self.up {
            let mut both = vec![entry.forward(&x)?];
            both.extend(features.pop());
            x = layer.forward(&Tensor::f_cat(&both, 1)?, &hidden)?;
        }
        self.head.forward(&x)
    }

    /// The encoder's deepest features: the content, which a translation should keep.
    ///
    /// # Errors
    /// As [`RoutedNet::residual`].
    pub fn content(&self, image: &Tensor, route: &Tensor) -> Result<Tensor, Error> {
        self.encoded(image, route)?.pop().ok_or(Error::Condition { expected: true })
    }

    /// Features by level, the full grid first.
    fn encoded(&self, image: &Tensor, route: &Tensor) -> Result<Vec<Tensor>, Error> {
        let multiple = self.recipe.multiple() as i64;
        Dim::Two.check(image, 1, &[multiple, multiple])?;
        let mut features = vec![self.stem.forward(&self.beside_planes(image, route)?)?];
        for (level, (entry, block)) in self.down.iter().enumerate() {
            let entered = entry.forward(&polyphase_split(&features[level], &[2, 2])?)?;
            features.push(block.forward(&entered, None)?);
        }
        Ok(features)
    }

    fn beside_planes(&self, image: &Tensor, route: &Tensor) -> Result<Tensor, Error> {
        if self.recipe.conditioning != Conditioning::Label {
            return Ok(image.shallow_clone());
        }
        let (route, size) = (self.spread(image, route)?, image.size());
        let planes = route.f_unsqueeze(-1)?.f_unsqueeze(-1)?.f_expand([size[0], -1, size[2], size[3]], false)?;
        Ok(Tensor::f_cat(&[image.shallow_clone(), planes], 1)?)
    }

    /// One routing vector per image.
    fn spread(&self, image: &Tensor, route: &Tensor) -> Result<Tensor, Error> {
        let (batch, shape) = (image.size()[0], route.size());
        if shape.len() != 2 || shape[1] != self.recipe.domains || (shape[0] != batch && shape[0] != 1) {
            let expected = format!("routed by [{batch}, {}]", self.recipe.domains);
            return Err(Error::ImageShape { expected, found: shape });
        }
        Ok(route.f_expand([batch, -1], false)?)
    }
}

/// Parallel convolutions whose mixture, scale and shift follow the router's vector.
#[derive(Debug)]
struct RoutedLayer {
    branches: Vec<Conv>,
    choice: Option<Linear>,
    modulation: Option<Modulation>,
    norm: Norm,
}

impl RoutedLayer {
    fn new(p: &mut Parameters, name: &str, recipe: &RoutedRecipe, channels: [i64; 2]) -> Result<Self, Error> {
        let count = recipe.branches();
        let shape = ConvShape::same(Dim::Two, channels, 3);
        let branches = (0..count).map(|branch| Conv::new(p, &format!("{name}.branch{branch}"), shape));
        let branches = branches.collect::<Result<_, _>>()?;
        let deviation = (1.0 / HIDDEN as f64).sqrt();
        let choice = match count {
            1 => None,
            _ => Some(Linear::new(p, &format!("{name}.choice"), [HIDDEN, count], deviation)?),
        };
        let modulation = match recipe.modulates() {
            true => Some(Modulation::new(p, &format!("{name}.modulation"), [HIDDEN, channels[1]], recipe.norm)?),
            false => None,
        };
        Ok(Self { branches, choice, modulation, norm: recipe.norm })
    }

    fn forward(&self, x: &Tensor, hidden: &Tensor) -> Result<Tensor, Error> {
        let mixture = match &self.choice {
            Some(choice) => Some(choice.forward(hidden)?.f_softmax(1, Kind::Float)?),
            None => None,
        };
        let mut sum: Option<Tensor> = None;
        for (branch, conv) in self.branches.iter().enumerate() {
            let mut part = Activation::Leaky.apply(&conv.forward(x)?)?;
            if let Some(mixture) = &mixture {
                part = part.f_mul(&mixture.f_narrow(1, branch as i64, 1)?.f_view([-1, 1, 1, 1])?)?;
            }
            sum = Some(match sum {
                Some(sum) => sum.f_add(&part)?,
                None => part,
            });
        }
        let sum = sum.ok_or(Error::Condition { expected: true })?;
        let modulated = match &self.modulation {
            Some(modulation) => modulation.forward(&sum, hidden)?,
            None => self.norm.apply(&sum)?,
        };
        Activation::Leaky.apply(&modulated)
    }
}

#[cfg(test)]
mod tests {
    use isoscan_nn::{Net, Random, image};
    use tch::no_grad;

    use super::*;
    use crate::{mixed, one_hot};

    fn recipe(conditioning: Conditioning) -> RoutedRecipe {
        RoutedRecipe { domains: 3, width: 2, levels: 1, routes: 2, conditioning, norm: Norm::None }
    }

    fn noise(shape: &[usize]) -> Tensor {
        let random = Random::new(1, &[]);
        image(&(0..shape.iter().product::<usize>()).map(|i| random.normal(i as u64) as f32).collect::<Vec<_>>(), shape)
            .unwrap()
    }

    /// No weight is zero, so that every path shows.
    fn strong(recipe: &RoutedRecipe) -> Net<RoutedNet> {
        let net = Net::<RoutedNet>::new(recipe, 1, 0).unwrap();
        no_grad(|| {
            for mut weight in net.parameters().tensors() {
                let shape: Vec<usize> = weight.size().iter().map(|&n| n as usize).collect();
                let start = weight.g_mul_scalar(2.0) + noise(&shape) * 0.1;
                weight.copy_(&start);
            }
        });
        net
    }

    const ALL: [Conditioning; 4] = [Conditioning::Both, Conditioning::Routes, Conditioning::Adain, Conditioning::Label];

    #[test]
    fn each_way_of_conditioning_gives_each_domain_its_own_image_and_mixtures_between() {
        let slice = noise(&[1, 1, 8, 12]);
        for conditioning in ALL {
            let net = strong(&recipe(conditioning));
            let made = |route: Tensor| no_grad(|| net.forward(&slice, &route)).unwrap();
            let [a, b] = [0, 1].map(|domain| made(one_hot(&[domain], 3).unwrap()));
            assert!(!a.equal(&b), "{conditioning:?}");
            let near = made(mixed(0, 1, 0.01, 3).unwrap());
            let distance = |x: &Tensor, y: &Tensor| (x - y).abs().mean(Kind::Double).double_value(&[]);
            assert!(distance(&near, &a) < 0.2 * distance(&a, &b), "{conditioning:?}: small steps move little");
            assert!(distance(&near, &a) > 0.0, "{conditioning:?}");
        }
    }

    #[test]
    fn one_route_serves_a_batch_and_images_do_not_meet() {
        let net = strong(&recipe(Conditioning::Both));
        let batch = noise(&[2, 1, 8, 8]);
        let routes = one_hot(&[2, 0], 3).unwrap();
        let both = no_grad(|| net.forward(&batch, &routes)).unwrap();
        let second = no_grad(|| net.forward(&batch.narrow(0, 1, 1), &routes.narrow(0, 1, 1))).unwrap();
        let farthest = (both.narrow(0, 1, 1) - &second).abs().max().double_value(&[]);
        assert!(farthest < 1e-5 * second.abs().max().double_value(&[]), "{farthest}");
        let shared = one_hot(&[2], 3).unwrap();
        assert_eq!(no_grad(|| net.forward(&batch, &shared)).unwrap().size(), [2, 1, 8, 8]);
    }

    #[test]
    fn content_knows_no_domain_unless_labels_lie_beside_the_image() {
        let slice = noise(&[1, 1, 8, 8]);
        for conditioning in ALL {
            let net = strong(&recipe(conditioning));
            let content = |domain| no_grad(|| net.content(&slice, &one_hot(&[domain], 3).unwrap())).unwrap();
            let alike = content(0).equal(&content(2));
            assert_eq!(alike, conditioning != Conditioning::Label, "{conditioning:?}");
        }
    }

    #[test]
    fn nothing_outside_the_halo_reaches_a_voxel_and_something_just_inside_does() {
        for levels in [1, 2] {
            let recipe = RoutedRecipe { levels, ..recipe(Conditioning::Both) };
            let (net, halo, multiple) = (strong(&recipe), recipe.halo(), recipe.multiple());
            let route = one_hot(&[1], 3).unwrap();
            let centre = (halo + multiple).next_multiple_of(multiple);
            let extent = 2 * centre + 2 * multiple;
            let slice = noise(&[1, 1, 2 * multiple, extent]);
            let base = no_grad(|| net.residual(&slice, &route)).unwrap();
            let mut farthest = 0;
            for poke in centre..centre + multiple {
                let poked = slice.copy();
                let _ = poked.narrow(3, poke as i64, 1).fill_(30.0);
                let moved = no_grad(|| net.residual(&poked, &route)).unwrap().ne_tensor(&base);
                let touched = moved.flatten(0, 2).any_dim(0, false);
                let reached = (0..extent).filter(|&x| touched.int64_value(&[x as i64]) != 0).map(|x| x.abs_diff(poke));
                farthest = farthest.max(reached.max().unwrap_or(0));
            }
            assert!((halo - 2 * multiple..=halo).contains(&farthest), "{levels} levels: {farthest} of {halo}");
        }
    }

    #[test]
    fn impossible_recipes_images_and_routes_are_errors() {
        let one_domain = RoutedRecipe { domains: 1, ..recipe(Conditioning::Both) };
        let refused = Net::<RoutedNet>::new(&one_domain, 1, 0).map(|_| ());
        assert!(matches!(refused, Err(Error::Recipe { field: "domains", .. })));
        let net = strong(&recipe(Conditioning::Both));
        for (shape, route) in
            [(vec![1, 1, 7, 8], vec![1, 3]), (vec![1, 1, 8, 8], vec![1, 4]), (vec![3, 1, 8, 8], vec![2, 3])]
        {
            let refused = net.forward(&noise(&shape), &noise(&route)).map(|_| ());
            assert!(matches!(refused, Err(Error::ImageShape { .. })), "{shape:?} {route:?}");
        }
    }
}
