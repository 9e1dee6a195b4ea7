use std::io;
use std::path::Path;

use offshoot_store::{Area, Durability};

use crate::build::seal;
use crate::disk_copy::copy_for_change;
use crate::records::{self, Origin, TemplateRecord};
use crate::{Error, Store, Template, TemplateId, TemplateName, growth};
use crate::{checksums, file_digest};

impl Store {
    /// Adopts a ready-made ext4 filesystem as a template, under that name; its id is the SHA-256 of its bytes. The file
    /// itself is left alone; the template shares its blocks where the filesystem can.
    ///
    /// Refused: what is no ext4, and a filesystem that is in use, has errors or was not unmounted. The name moves to
    /// the import if it stands for another template.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let built = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// # let file = directory.path().join("rootfs.ext4");
    /// # store.export(&built, &file)?;
    /// let template = store.import(&"node".parse()?, &file)?;
    /// assert_eq!(template.record.id.to_string(), store.file_digest(&file)?.hex());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn import(&self, name: &TemplateName, file: &Path) -> Result<Template, Error> {
        let metadata = match file.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoFile { path: file.to_owned() });
            }
            metadata => metadata.map_err(Error::io("look at", file))?,
        };
        if !metadata.is_file() {
            return Err(Error::NotAFile { path: file.to_owned() });
        }
        let staging = self.directory.stage()?;
        let path = staging.path().join(records::DISK);
        // Looked at and digested is the copy: the file may change meanwhile.
        let mut disk = copy_for_change(file, &path)?;
        let filesystem = offshoot_ext4::inspect(&disk)
            .map_err(|source| Error::Filesystem { path: file.to_owned(), source })?;
        growth::check_importable(&filesystem, file)?;
        let digest = file_digest::digest(&mut disk).map_err(Error::io("read", &path))?;
        let id = TemplateId::new(digest);
        let _maker = self.directory.lock_key(Area::Templates, &id.entry())?;
        let mut template = match self.template(id)? {
            Some(template) => {
                self.directory.sync_area(Area::Templates)?;
                template
            }
            None => {
                let checksums = checksums::of_file(&disk).map_err(Error::io("read", &path))?;
                seal(&disk, &path)?;
                Durability::Durable.sync_file(&disk, &path)?;
                let record = TemplateRecord {
                    version: records::VERSION,
                    id,
                    origin: Origin::Imported,
                    size_bytes: disk.metadata().map_err(Error::io("look at", &path))?.len(),
                    checksums,
                    image: None,
                    created_at: records::now(),
                };
                self.publish_template(staging, record)?
            }
        };
        self.name_template(&mut template, name)?;
        Ok(template)
    }

    /// Adopts each `<stack>/rootfs.ext4` of a directory as a template `<name>/<stack>`, in the order of the stacks'
    /// names; those before one that is refused are there then.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let built = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// # let stacks = directory.path().join("stacks");
    /// # std::fs::create_dir_all(stacks.join("node"))?;
    /// # store.export(&built, &stacks.join("node/rootfs.ext4"))?;
    /// store.import_all(&"stacks".parse()?, &stacks)?;
    /// assert!(store.find_template("stacks/node")?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn import_all(&self, name: &TemplateName, directory: &Path) -> Result<Vec<Template>, Error> {
        let mut stacks = Vec::new();
        for entry in directory.read_dir().map_err(Error::io("list", directory))? {
            let entry = entry.map_err(Error::io("list", directory))?;
            let disk = entry.path().join(records::DISK);
            if disk.try_exists().map_err(Error::io("look for", &disk))? {
                let stack = entry.file_name();
                let stack =
                    stack.to_str().ok_or_else(|| Error::NotAName { path: entry.path(), source: None })?;
                let name = format!("{name}/{stack}").parse::<TemplateName>();
                let name =
                    name.map_err(|source| Error::NotAName { path: entry.path(), source: Some(source) })?;
                stacks.push((name, disk));
            }
        }
        if stacks.is_empty() {
            return Err(Error::NothingToImport { path: directory.to_owned() });
        }
        stacks.sort();
        stacks.iter().map(|(name, disk)| self.import(name, disk)).collect()
    }
}
