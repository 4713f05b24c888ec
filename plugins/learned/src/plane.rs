use tch::Tensor;

/// Which axes of `[batch, channel, z, y, x]`, axes of the patient, an image of one slice spans.
///
/// ```
/// use isoscan_learned::Plane;
/// use tch::{Device, Kind, Tensor};
///
/// let radiograph = Tensor::zeros([1, 1, 6, 1, 4], (Kind::Float, Device::Cpu));
/// let plane = Plane::of(&radiograph);
/// assert_eq!(plane, Plane::Coronal);
/// assert_eq!(plane.turned(&radiograph)?.size(), [1, 1, 1, 6, 4]);
/// # Ok::<(), tch::TchError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// x and y, as of axial slices.
    Axial,
    /// x and z: a frontal radiograph.
    Coronal,
    /// y and z: a lateral one.
    Sagittal,
}

impl Plane {
    /// The plane across the first of y and x that has one voxel, where z has more; else axial.
    pub fn of(image: &Tensor) -> Self {
        match image.size()[..] {
            [.., z, 1, _] if z > 1 => Self::Coronal,
            [.., z, _, 1] if z > 1 => Self::Sagittal,
            _ => Self::Axial,
        }
    }

    /// The image with the axis across the plane in place of z; its own inverse.
    ///
    /// # Errors
    /// When the tensor has not five axes.
    pub fn turned(self, image: &Tensor) -> Result<Tensor, tch::TchError> {
        match self {
            Self::Axial => Ok(image.shallow_clone()),
            Self::Coronal => image.f_transpose(2, 3),
            Self::Sagittal => image.f_transpose(2, 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn images_of_one_slice_are_turned_into_axial_ones_and_back() {
        let rows = [
            ([1, 1, 1, 4, 6], Plane::Axial, [1, 1, 1, 4, 6]),
            ([1, 1, 5, 4, 6], Plane::Axial, [1, 1, 5, 4, 6]),
            ([2, 1, 5, 1, 6], Plane::Coronal, [2, 1, 1, 5, 6]),
            ([2, 1, 5, 4, 1], Plane::Sagittal, [2, 1, 1, 4, 5]),
        ];
        for (size, expected, turned) in rows {
            let image = Tensor::arange(size.iter().product::<i64>(), (Kind::Float, Device::Cpu)).view(size);
            let plane = Plane::of(&image);
            assert_eq!(plane, expected);
            let flat = plane.turned(&image).unwrap();
            assert_eq!(flat.size(), turned);
            assert!(plane.turned(&flat).unwrap().equal(&image));
        }
    }
}
