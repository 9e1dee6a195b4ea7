use std::ops::Deref;

use crate::{Clone, CloneOptions, Error, Store, Template, VmId};

/// A clone that is released when this is dropped: for sessions whose disk, or directory, is thrown away.
///
/// A process that is killed cannot release it: then [`Store::collect`] does, whenever it is run next and by whom.
#[derive(Debug)]
pub struct CloneGuard<'store> {
    store: &'store Store,
    clone: Clone,
    kept: bool,
}

impl Store {
    /// Makes a clone for as long as the guard lives. A clone of that id that is there already is a conflict: it is
    /// somebody else's, who may still need it.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let options = CloneOptions { ephemeral: true, ..CloneOptions::default() };
    /// let session = store.clone_for_session(&template, &"session-1".parse()?, &options)?;
    /// assert!(session.path.exists()); // run the VM
    /// drop(session);
    /// assert!(store.clones()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clone_for_session(
        &self,
        template: &Template,
        vm: &VmId,
        options: &CloneOptions,
    ) -> Result<CloneGuard<'_>, Error> {
        let clone =
            self.make_session(template, vm, options)?.ok_or_else(|| Error::CloneTaken { vm: vm.clone() })?;
        Ok(CloneGuard { store: self, clone, kept: false })
    }
}

impl CloneGuard<'_> {
    /// Keeps the clone: from now on only [`Store::release`] releases it.
    ///
    /// An error leaves it as it is: not released now, but collected when this process has ended.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let session = store.clone_for_session(&template, &"session-1".parse()?, &CloneOptions::default())?;
    /// let clone = session.keep()?;
    /// assert_eq!(clone.record.session, None);
    /// assert!(clone.path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep(mut self) -> Result<Clone, Error> {
        self.kept = true;
        let vm = &self.clone.record.vm_id;
        let _changing = self.store.lock_clone(vm)?;
        let mut clone = self.store.existing_clone(vm)?;
        if clone.record.session != self.clone.record.session {
            return Err(Error::CloneContested { vm: vm.clone() });
        }
        clone.record.session = None;
        self.store.put_clone_record(&clone.record)?;
        Ok(clone)
    }

    /// Releases the clone, and says what goes wrong, which a drop cannot.
    ///
    /// One that somebody else released is released; what has been made in its place is not touched.
    pub fn release(mut self) -> Result<(), Error> {
        self.kept = true;
        self.release_own()
    }

    fn release_own(&self) -> Result<(), Error> {
        let vm = &self.clone.record.vm_id;
        let _changing = self.store.lock_clone(vm)?;
        match self.store.find_clone(vm)? {
            Some(found) if found.record.session == self.clone.record.session => self.store.release_locked(vm),
            // Where there was none just now somebody may make one: clones need no lock for that.
            _ => Ok(()),
        }
    }
}

impl Deref for CloneGuard<'_> {
    type Target = Clone;

    fn deref(&self) -> &Clone {
        &self.clone
    }
}

impl Drop for CloneGuard<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // There is nobody to tell; what could not be released is listed among the clones.
            let _ = self.release_own();
        }
    }
}
