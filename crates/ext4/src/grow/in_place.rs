use crate::device::Device;
use crate::grow::{Grow, GrowError, finish_grow};

/// Makes the filesystem so many bytes large, in place: completes an interrupted growth, plans, and applies the plan by
/// way of the journal. Interrupted at whatever moment, the filesystem is valid, and the same call completes it.
///
/// The plan that comes back says what there was to do; its old size is that after an earlier growth was completed.
/// See [`Grow::plan`] about sizes, [`Grow::apply_journaled`] about `sync`.
///
/// # Errors
///
/// Any of [`GrowError`] but `Interrupted`. After `NoSafeJournal` nothing has changed: a copy can be grown by
/// [`Grow::apply`].
pub fn grow_in_place(device: &dyn Device, new_size_bytes: u64, sync: bool) -> Result<Grow, GrowError> {
    finish_grow(device, sync)?;
    let plan = Grow::plan(device, new_size_bytes)?;
    plan.apply_journaled(device, sync)?;
    Ok(plan)
}
