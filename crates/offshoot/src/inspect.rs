use serde::Serialize;

use crate::{CloneRecord, Error, ImageRecord, Store, TemplateName, TemplateRecord};

/// What a name stands for in a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Inspection {
    /// A template.
    Template {
        /// Its record.
        #[serde(flatten)]
        record: TemplateRecord,
        /// Names that stand for it.
        names: Vec<TemplateName>,
        /// Its disk.
        path: std::path::PathBuf,
    },
    /// A clone.
    Clone {
        /// Its record.
        #[serde(flatten)]
        record: CloneRecord,
        /// Its disk.
        path: std::path::PathBuf,
    },
    /// An image.
    Image {
        /// Its record.
        #[serde(flatten)]
        record: ImageRecord,
        /// How many bytes the packs of its layers take, without those that are missing.
        pack_bytes: u64,
    },
}

impl Store {
    /// Looks a name up: a template's name or id, then a VM's id, then an image's reference.
    ///
    /// A reference that was pulled for several platforms gives each of them.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let found = store.inspect(&template.record.id.to_string())?;
    /// assert!(matches!(found[..], [Inspection::Template { .. }]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn inspect(&self, name: &str) -> Result<Vec<Inspection>, Error> {
        if let Some(template) = self.find_template(name)? {
            let all = self.templates()?;
            let names = all.into_iter().find(|(record, _)| record.id == template.record.id);
            let names = names.map(|(_, names)| names).unwrap_or_default();
            return Ok(vec![Inspection::Template { record: template.record, names, path: template.path }]);
        }
        if let Ok(vm) = name.parse()
            && let Some(clone) = self.find_clone(&vm)?
        {
            return Ok(vec![Inspection::Clone { record: clone.record, path: clone.path }]);
        }
        let canonical = match name.parse::<offshoot_oci::ImageName>() {
            Ok(image) => image.canonical().map_err(Error::image_name(&image))?,
            Err(_) => name.to_owned(),
        };
        let images: Vec<_> = self
            .images()?
            .into_iter()
            .filter(|record| record.reference == canonical)
            .map(|record| {
                let packs = record.layers.iter().filter_map(|layer| self.pack_bytes(layer.diff_id));
                Inspection::Image { pack_bytes: packs.sum(), record }
            })
            .collect();
        if images.is_empty() {
            return Err(Error::NotFound { what: "template, clone or image", name: name.to_owned() });
        }
        Ok(images)
    }
}
