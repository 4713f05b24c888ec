//! The images of a training: which belong together, which are held out, and which are in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use isoscan_abi::Descriptor;
use isoscan_imaging::{Modality, refined};
use isoscan_io::SeriesSummary;
use isoscan_pipeline::{Augmentation, Side, Subject, prepare_side, subject_of};
use isoscan_script::{Audit, AuditRequest, AuditedImage, Group, Role};

use super::recipe::Recipe;
use crate::{failure::Failure, progress::note};

/// The name of the group of targets.
const TARGET: &str = "target";
/// What is put before the name of a held-out group.
const HELD_OUT: &str = "validation ";

/// The subjects that patches of one kind come from.
pub(super) struct Stock {
    /// Number among the stocks of a training.
    number: usize,
    members: Vec<Member>,
    size: [usize; 3],
    refine: [usize; 3],
}

/// One subject on disk.
#[derive(Clone)]
struct Member {
    number: usize,
    person: String,
    images: Vec<Picture>,
    truth: Option<Picture>,
}

#[derive(Clone)]
struct Picture {
    series: SeriesSummary,
    side: Side,
    modality: Option<Modality>,
}

/// Everything that patches are drawn from.
pub(super) struct Data {
    /// Sources, one stock per domain.
    pub(super) sources: Vec<Stock>,
    /// Targets of a training between two unpaired sides.
    pub(super) target: Option<Stock>,
}

/// How the groups of a recipe are named and belong together.
pub(super) struct Layout {
    /// One list of groups per domain: a group per input of the plugin.
    sources: Vec<Vec<String>>,
    /// The group of truths or targets.
    target: Option<String>,
    paired: bool,
}

impl Layout {
    /// Groups of the recipe, and what must belong together.
    pub(super) fn of(
        recipe: &Recipe,
        descriptor: &Descriptor,
        refine: [usize; 3],
    ) -> Result<(Self, AuditRequest), Failure> {
        let mut request = AuditRequest::default();
        let mut add = |name: &str, folder: &std::path::Path, role| {
            let modality = recipe.modality_of(name.strip_prefix(HELD_OUT).unwrap_or(name))?;
            let folder = folder.to_owned();
            request.groups.push(Group { name: name.to_owned(), folder, role, modality });
            Ok::<(), Failure>(())
        };
        let domains: Vec<Vec<String>> = recipe.domains.keys().map(|name| vec![name.clone()]).collect();
        let sources = if domains.is_empty() { vec![inputs(recipe, descriptor)?] } else { domains };
        for (name, folder) in &recipe.domains {
            add(name, folder, Role::Train)?;
        }
        if let [channels] = sources.as_slice() {
            for name in channels {
                let folder = recipe.source.get(name.strip_prefix("source ").unwrap_or(name));
                let folder = folder.or_else(|| recipe.source.get("")).or_else(|| recipe.source.values().next());
                let folder = folder.ok_or_else(|| Failure::new(format!("no folder for {name}")))?;
                add(name, folder, Role::Train)?;
            }
        }
        if let Some(folder) = &recipe.target {
            add(TARGET, folder, Role::Train)?;
        }
        let target = recipe.target.as_ref().map(|_| TARGET.to_owned());
        let known: Vec<String> = sources.iter().flatten().cloned().chain(target.clone()).collect();
        for (name, folder) in &recipe.validation {
            if !known.contains(name) {
                let known = known.join(", ");
                return Err(Failure::new(format!("no group '{name}' to hold out images of"))
                    .help(format!("there are {known}: give --validation NAME=DIR for each")));
            }
            add(&format!("{HELD_OUT}{name}"), folder, Role::Validation)?;
        }
        let missing = known.iter().find(|name| !recipe.validation.is_empty() && !recipe.validation.contains_key(*name));
        if let Some(missing) = missing {
            return Err(Failure::new(format!("no held-out images of '{missing}'"))
                .help("give --validation NAME=DIR for every group, or for none"));
        }
        let layout = Self { sources, target, paired: recipe.paired };
        for prefix in ["", HELD_OUT].into_iter().take(1 + usize::from(!recipe.validation.is_empty())) {
            request.together.extend(layout.together(prefix));
            request.refine.insert(format!("{prefix}{TARGET}"), refine);
        }
        Ok((layout, request))
    }

    /// The groups whose images must belong together, by their names after `prefix`.
    fn together(&self, prefix: &str) -> Vec<Vec<String>> {
        let named = |names: Vec<&String>| names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>();
        let mut lists: Vec<Vec<String>> = match (&self.target, self.paired) {
            (Some(target), true) => {
                self.sources.iter().map(|group| named(group.iter().chain([target]).collect())).collect()
            }
            (None, true) => vec![named(self.sources.iter().flatten().collect())],
            (_, false) => self.sources.iter().map(|group| named(group.iter().collect())).collect(),
        };
        lists.retain(|list| list.len() > 1);
        lists
    }
}

/// The names of the source's groups, in the order of the plugin's inputs.
fn inputs(recipe: &Recipe, descriptor: &Descriptor) -> Result<Vec<String>, Failure> {
    let given: Vec<&str> = recipe.source.keys().map(String::as_str).collect();
    if given.len() == 1 {
        return Ok(vec!["source".to_owned()]);
    }
    let declared: Vec<&str> = descriptor.inputs.iter().map(|input| input.name.as_str()).collect();
    if let Some(unknown) = given.iter().find(|name| !declared.contains(name)) {
        return Err(Failure::new(format!("the plugin has no input '{unknown}'"))
            .help(format!("it has {}: give --source NAME=DIR for each", declared.join(", "))));
    }
    let is_missing = |input: &&isoscan_abi::Input| !input.optional && !given.contains(&input.name.as_str());
    if let Some(missing) = descriptor.inputs.iter().find(is_missing) {
        return Err(Failure::new(format!("no images for the input '{}'", missing.name))
            .help("give --source NAME=DIR for each input"));
    }
    let used = declared.iter().filter(|name| given.contains(name));
    Ok(used.map(|name| format!("source {name}")).collect())
}

impl Data {
    /// The subjects to learn from, and those that are held out; the latter may be missing.
    pub(super) fn split(
        layout: &Layout,
        audit: &Audit,
        recipe: &Recipe,
        descriptor: &Descriptor,
        refine: [usize; 3],
    ) -> Result<(Self, Option<Self>), Failure> {
        let all = Self::of(layout, audit, recipe, descriptor, refine, "")?;
        if !recipe.validation.is_empty() {
            let held_out = Self::of(layout, audit, recipe, descriptor, refine, HELD_OUT)?;
            return Ok((all, Some(held_out)));
        }
        if recipe.validation_share <= 0.0 {
            return Ok((all, None));
        }
        let held_out = all.held_out(recipe.validation_share);
        let part = |wanted: bool| Self {
            sources: all.sources.iter().map(|stock| stock.part(&held_out, wanted)).collect(),
            target: all.target.as_ref().map(|stock| stock.part(&held_out, wanted)),
        };
        let (learned, judged) = (part(false), part(true));
        if judged.stocks().any(|stock| stock.members.is_empty()) {
            note("too few subjects to hold any out: the last weights are kept, not the best");
            return Ok((all, None));
        }
        Ok((learned, Some(judged)))
    }

    fn of(
        layout: &Layout,
        audit: &Audit,
        recipe: &Recipe,
        descriptor: &Descriptor,
        refine: [usize; 3],
        prefix: &str,
    ) -> Result<Self, Failure> {
        let size = recipe.patch_size()?;
        let picture = |image: &AuditedImage, side| {
            let group = image.group.strip_prefix(HELD_OUT).unwrap_or(&image.group);
            Ok::<Picture, Failure>(Picture { series: image.series.clone(), side, modality: recipe.modality_of(group)? })
        };
        let numbers = source_numbers(layout, descriptor);
        let target_domain = layout.sources.iter().position(|group| group.first() == recipe.target_domain.as_ref());
        let mut sources = Vec::new();
        for (number, groups) in layout.sources.iter().enumerate() {
            let truth = match (&layout.target, layout.paired) {
                (_, false) => None,
                (Some(target), true) => Some(target),
                (None, true) => layout.sources.get(target_domain.unwrap_or(0)).and_then(|group| group.first()),
            };
            let names: Vec<String> = groups.iter().chain(truth).map(|name| format!("{prefix}{name}")).collect();
            let tuples = match names.as_slice() {
                [only] => audit.of_group(only).map(|image| vec![image]).collect(),
                [own, same] if own == same => audit.of_group(own).map(|image| vec![image, image]).collect(),
                _ => audit.tuples(&names),
            };
            let mut members = Vec::new();
            for tuple in tuples {
                let (channels, truths) = tuple.split_at(groups.len());
                let images = channels.iter().zip(&numbers).map(|(image, &n)| picture(image, Side::Input(n)));
                members.push(Member {
                    number: tuple[0].number,
                    person: tuple[0].split_key().to_owned(),
                    images: images.collect::<Result<_, _>>()?,
                    truth: truths.first().map(|image| picture(image, Side::Target(refine))).transpose()?,
                });
            }
            if members.is_empty() {
                return Err(Failure::new(format!("no subject has an image of each of {}", names.join(", "))));
            }
            sources.push(Stock { number, members, size, refine });
        }
        let mut target = None;
        if let Some(group) = layout.target.as_ref().filter(|_| !layout.paired) {
            let name = format!("{prefix}{group}");
            let member = |image: &AuditedImage| {
                let images = vec![picture(image, Side::Target(refine))?];
                Ok(Member { number: image.number, person: image.split_key().to_owned(), images, truth: None })
            };
            let members = audit.of_group(&name).map(member).collect::<Result<_, Failure>>()?;
            let size = std::array::from_fn(|a| size[a] * refine[a]);
            target = Some(Stock { number: sources.len(), members, size, refine: [1; 3] });
        }
        Ok(Self { sources, target })
    }

    fn stocks(&self) -> impl Iterator<Item = &Stock> {
        self.sources.iter().chain(&self.target)
    }

    /// Persons to hold out: those whose digest, as a number from 0 to 1, lies below `share`; of a stock of three or more
    /// at least one and never all.
    fn held_out(&self, share: f64) -> BTreeSet<String> {
        let place = |person: &String| {
            let digest = isoscan_io::sha256(person.as_bytes());
            u64::from_str_radix(&digest[..15], 16).unwrap_or(0) as f64 / (1u64 << 60) as f64
        };
        let persons: BTreeSet<&String> = self.stocks().flat_map(Stock::persons).collect();
        let mut held_out: BTreeSet<String> =
            persons.into_iter().filter(|person| place(person) < share).cloned().collect();
        for stock in self.stocks() {
            let mut own: Vec<&String> = stock.persons().collect::<BTreeSet<_>>().into_iter().collect();
            own.sort_by(|a, b| place(a).total_cmp(&place(b)));
            if own.len() >= 3 && own.iter().all(|person| !held_out.contains(*person)) {
                held_out.insert(own[0].clone());
            }
        }
        for stock in self.stocks() {
            let own: BTreeSet<&String> = stock.persons().collect();
            if own.iter().all(|person| held_out.contains(*person)) {
                let last = own.into_iter().max_by(|a, b| place(a).total_cmp(&place(b)));
                last.into_iter().for_each(|person| {
                    held_out.remove(person);
                });
            }
        }
        held_out
    }

    /// How many subjects there are, in words.
    pub(super) fn told(&self) -> String {
        let sources: Vec<String> = self.sources.iter().map(|stock| stock.members.len().to_string()).collect();
        match &self.target {
            Some(target) => format!("{} source and {} target subjects", sources.join(" + "), target.members.len()),
            None => format!("{} subjects", sources.join(" + ")),
        }
    }
}

/// The declared input that each channel of a source is.
fn source_numbers(layout: &Layout, descriptor: &Descriptor) -> Vec<usize> {
    let Some(groups) = layout.sources.first() else { return Vec::new() };
    let number = |group: &String| {
        let name = group.strip_prefix("source ")?;
        descriptor.inputs.iter().position(|input| input.name == name)
    };
    groups.iter().map(|group| number(group).unwrap_or(0)).collect()
}

impl Stock {
    fn persons(&self) -> impl Iterator<Item = &String> {
        self.members.iter().map(|member| &member.person)
    }

    fn part(&self, held_out: &BTreeSet<String>, wanted: bool) -> Self {
        let members = self.members.iter().filter(|member| held_out.contains(&member.person) == wanted);
        Self { members: members.cloned().collect(), ..*self }
    }

    /// Channels of a source patch.
    pub(super) fn channels(&self) -> usize {
        self.members.first().map_or(1, |member| member.images.len())
    }

    /// Writes patch `index` and, where there is one, its truth.
    pub(super) fn draw(
        &self,
        shelf: &mut Shelf<'_>,
        key: Key,
        vary: &Augmentation,
        source: &mut [f32],
        truth: Option<&mut [f32]>,
    ) -> Result<(), Failure> {
        let member = subject_of(self.members.len(), key.seed, key.index);
        shelf.subject(self, member, key.held_out)?.draw(key.seed, key.index, vary, source, truth);
        Ok(())
    }

    /// Spacing of the first subject's patches, mm.
    pub(super) fn spacing_mm(&self, shelf: &mut Shelf<'_>) -> Result<[f64; 3], Failure> {
        Ok(shelf.subject(self, 0, false)?.spacing_mm())
    }

    fn read(&self, member: &Member, descriptor: &Descriptor) -> Result<Subject, Failure> {
        let (mut volumes, mut first_scale) = (Vec::<isoscan_imaging::Volume>::new(), None);
        for picture in &member.images {
            let grid = volumes.first().map(|first| first.geometry().clone());
            let (volume, scale) = prepare_side(descriptor, picture.side, &picture.read()?, grid.as_ref(), None)?;
            first_scale = if volumes.is_empty() { scale } else { first_scale };
            volumes.push(volume);
        }
        let truth = match (&member.truth, volumes.first()) {
            (Some(picture), Some(first)) => {
                let grid = refined(first.geometry(), self.refine)?;
                let scale = first_scale.filter(|_| self.refine != [1; 3]);
                Some(prepare_side(descriptor, picture.side, &picture.read()?, Some(&grid), scale)?.0)
            }
            _ => None,
        };
        Ok(Subject::new(member.number, volumes, truth, self.refine, self.size)?)
    }
}

/// Which patch.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) seed: u64,
    pub(super) index: u64,
    /// Of held-out subjects, which have numbers of their own.
    pub(super) held_out: bool,
}

impl Picture {
    fn read(&self) -> Result<isoscan_imaging::Volume, Failure> {
        Ok(isoscan_io::read_series_with(&self.series, &crate::translate::options(self.modality))?.volume)
    }
}

/// Subjects in memory, those used last, within a limit.
pub(super) struct Shelf<'a> {
    descriptor: &'a Descriptor,
    limit: u64,
    bytes: u64,
    clock: u64,
    subjects: BTreeMap<(bool, usize, usize), (u64, Arc<Subject>)>,
    /// Subjects read from disk so far.
    pub(super) reads: u64,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(descriptor: &'a Descriptor, limit: u64) -> Self {
        Self { descriptor, limit, bytes: 0, clock: 0, subjects: BTreeMap::new(), reads: 0 }
    }

    fn subject(&mut self, stock: &Stock, member: usize, held_out: bool) -> Result<Arc<Subject>, Failure> {
        self.clock += 1;
        let place = (held_out, stock.number, member);
        if let Some((used, subject)) = self.subjects.get_mut(&place) {
            *used = self.clock;
            return Ok(Arc::clone(subject));
        }
        let subject = Arc::new(stock.read(&stock.members[member], self.descriptor)?);
        self.reads += 1;
        self.bytes += subject.bytes();
        while self.bytes > self.limit {
            let oldest = self.subjects.iter().min_by_key(|(_, (used, _))| *used).map(|(place, _)| *place);
            let Some((_, gone)) = oldest.and_then(|place| self.subjects.remove(&place)) else { break };
            self.bytes -= gone.bytes();
        }
        self.subjects.insert(place, (self.clock, Arc::clone(&subject)));
        Ok(subject)
    }
}
