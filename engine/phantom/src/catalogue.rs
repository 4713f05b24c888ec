//! One view of all phantoms: kinds, their protocols, and acquisitions of a subject with labels and truth.

use isoscan_imaging::Volume;

use crate::{Error, Visit};

mod ct;
mod facts;
mod head;
mod order;
mod radiograph;
mod truth;
mod vessels;

pub use facts::{Acquired, Facts};
pub use order::{Kind, Offer, Order};
pub use truth::{Details, Truth};

/// A subject as it lies in a scanner, ready to be acquired under any protocol of its kind.
pub struct Subject {
    body: Box<dyn Body>,
    order: Order,
    visit: Visit,
}

/// What a kind of phantom has to give.
pub(crate) trait Body: Send + Sync {
    /// The image under one protocol, with labels on its grid.
    fn acquire(&self, word: &str) -> Result<Acquisition, Error>;

    /// What is exactly known.
    fn truth(&self) -> Result<(crate::TruthRow, Details), Error>;
}

/// One image of a subject.
#[derive(Debug, Clone)]
pub struct Acquisition {
    /// The protocol as it was asked for.
    pub protocol: String,
    /// The image.
    pub image: Volume,
    /// Label maps on the image's grid; the first is called `labels`.
    pub maps: Vec<LabelMap>,
    /// What a header tells of the acquisition.
    pub facts: Facts,
}

/// Labels on the grid of an image.
#[derive(Debug, Clone)]
pub struct LabelMap {
    /// `labels`, or what else is labelled.
    pub name: &'static str,
    /// The label of every voxel; 0 is nothing.
    pub volume: Volume,
    /// The numbers and what they mean.
    pub names: &'static [(i32, &'static str)],
}

/// Draws one subject of an order as it lies in the scanner during a visit.
///
/// ```
/// use isoscan_phantom::{Grid, Kind, Order, Visit, draw};
/// let order = Order { grid: Grid::new([64, 64], 5.0, 10.0)?, ..Order::new(Kind::Abdomen, 7, 0) };
/// let subject = draw(&order, &Visit::only(7))?;
/// let scan = subject.acquire("a-soft")?;
/// assert_eq!(scan.image.geometry(), scan.maps[0].volume.geometry());
/// assert!(subject.truth()?.row.number("liver_mm3").is_some());
/// # Ok::<(), isoscan_phantom::Error>(())
/// ```
///
/// # Errors
/// [`Error::UnknownName`] for a condition that the kind does not have, and what the physics refuses.
pub fn draw(order: &Order, visit: &Visit) -> Result<Subject, Error> {
    order.require_condition()?;
    let body: Box<dyn Body> = match order.kind {
        Kind::Abdomen => Box::new(ct::Trunk::abdomen(order, visit)?),
        Kind::Chest => Box::new(ct::Trunk::chest(order, visit)?),
        Kind::Radiograph => Box::new(radiograph::Frontal::draw(order, visit)?),
        Kind::Brain | Kind::BrainPet | Kind::HeadCt => Box::new(head::HeadBody::draw(order, visit)?),
        Kind::Vessels => Box::new(vessels::Vessels::draw(order, visit)?),
    };
    Ok(Subject { body, order: order.clone(), visit: *visit })
}

impl Subject {
    /// Acquires the subject under a protocol, `ID` or `ID:VIEW`, of its kind or of one that shows the same anatomy.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the protocols that exist; what the physics refuses.
    pub fn acquire(&self, protocol: &str) -> Result<Acquisition, Error> {
        self.body.acquire(protocol)
    }

    /// What is exactly known of the subject.
    ///
    /// # Errors
    /// What the physics refuses.
    pub fn truth(&self) -> Result<Truth, Error> {
        let (row, details) = self.body.truth()?;
        let Order { kind, seed, subject, condition, .. } = self.order.clone();
        Ok(Truth { kind, seed, subject, condition, session: None, visit: self.visit, row, details })
    }
}

/// The offer with this id, or the refusal that names all.
pub(crate) fn found<'a, T>(all: &'a [T], id: fn(&T) -> &str, word: &str) -> Result<(usize, &'a T), Error> {
    all.iter().enumerate().find(|(_, one)| id(one) == word).ok_or_else(|| Error::UnknownProtocol {
        expected: all.iter().map(id).collect::<Vec<_>>().join(", "),
        found: word.to_owned(),
    })
}
