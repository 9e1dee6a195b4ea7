//! Random states of a store, against a model that says in a few lines what must stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use offshoot::{
    BuildOptions, CloneGuard, CloneOptions, CloneRecord, DiskSize, Error, ErrorKind, ImageName, ImageRecord,
    PullOptions, Quiet, Store, Strategy, Template, TemplateId,
};

use crate::collecting::{AT_ONCE, collect};
use crate::collecting_beside::soak;
use crate::image::{Dice, names, vm};

/// What is known of a store by what was done to it.
#[derive(Default)]
struct Model {
    /// Template and layers of each.
    templates: BTreeMap<TemplateId, (Vec<String>, Option<String>)>,
    names: BTreeMap<String, TemplateId>,
    /// Of a clone, its template and the layers that it is written anew from.
    clones: BTreeMap<String, (TemplateId, Vec<String>)>,
    images: BTreeMap<String, ImageRecord>,
}

impl Model {
    fn built(&mut self, template: &Template, name: Option<&String>) {
        let built = template.record.derivation().unwrap();
        let layers = built.layers.iter().map(offshoot::Digest::hex).collect();
        self.templates.insert(template.record.id, (layers, Some(built.config_digest.hex())));
        self.names.extend(name.map(|name| (name.clone(), template.record.id)));
    }

    fn cloned(&mut self, record: &CloneRecord) {
        let mut layers: Vec<String> =
            record.built_from.iter().flat_map(|built| &built.layers).map(offshoot::Digest::hex).collect();
        if record.format == offshoot::DiskFormat::Dir {
            layers.extend(self.templates[&record.template.id].0.iter().cloned());
        }
        self.clones.insert(record.vm_id.to_string(), (record.template.id, layers));
    }

    /// Forgets what is not to stay, given what is held.
    fn collect(&mut self, held: &[&Template]) {
        let configs: BTreeSet<String> = self.images.values().map(|image| image.config_digest.hex()).collect();
        let mut stay: BTreeSet<TemplateId> = self.names.values().copied().collect();
        stay.extend(self.clones.values().map(|(id, _)| *id));
        stay.extend(held.iter().map(|template| template.record.id));
        self.templates.retain(|id, (_, config)| {
            stay.contains(id) || config.as_ref().is_some_and(|config| configs.contains(config))
        });
    }

    fn packs(&self) -> BTreeSet<String> {
        let of_templates = self.templates.values().flat_map(|(layers, _)| layers);
        let of_clones = self.clones.values().flat_map(|(_, layers)| layers);
        let of_images = self.images.values().flat_map(|image| &image.layers).map(|layer| layer.diff_id.hex());
        of_templates.chain(of_clones).cloned().chain(of_images).collect()
    }

    fn blobs(&self) -> BTreeSet<String> {
        let blobs = self.images.values().flat_map(|image| [image.manifest_digest, image.config_digest]);
        blobs.map(|blob| blob.hex()).collect()
    }
}

fn list(store: &Store, part: &str) -> BTreeSet<String> {
    names(store, part).into_iter().collect()
}

fn image(directory: &std::path::Path, dice: &mut Dice) -> ImageName {
    let files: PathBuf = directory.join(format!("image-{}", dice.roll(2)));
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("version"), dice.roll(3).to_string()).unwrap();
    format!("dir:{}", files.display()).parse().unwrap()
}

fn run(seed: u64) {
    println!("seed {seed}");
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let mut dice = Dice(seed);
    let mut model = Model::default();
    let mut held: Vec<Template> = Vec::new();
    let mut sessions: Vec<CloneGuard<'_>> = Vec::new();
    for _ in 0..40 {
        let name = format!("name-{}", dice.roll(3));
        let id = format!("vm-{}", dice.roll(3));
        match dice.roll(11) {
            0..=2 => {
                let image = image(directory.path(), &mut dice);
                let named = (dice.roll(2) == 0).then_some(name);
                let injected = || vec!["/etc/hostname:/etc/hostname".parse().unwrap()];
                let options = BuildOptions {
                    name: named.as_ref().map(|name| name.parse().unwrap()),
                    size: DiskSize::Bytes((16 + 8 * dice.roll(2)) << 20),
                    injections: if dice.roll(3) == 0 { injected() } else { Vec::new() },
                    ..BuildOptions::default()
                };
                let template = store.build(&image, &options, &Quiet).unwrap();
                model.built(&template, named.as_ref());
                let reference = image.canonical().unwrap();
                let record = store.images().unwrap().into_iter().find(|image| image.reference == reference);
                model.images.insert(reference, record.unwrap());
                if dice.roll(3) == 0 {
                    held.push(template);
                }
            }
            3 => {
                let image = image(directory.path(), &mut dice);
                let record = store.pull(&image, &PullOptions::default(), &Quiet).unwrap();
                model.images.insert(record.reference.clone(), record);
            }
            4..=5 => {
                let template = store.find_template(&name).unwrap();
                assert_eq!(template.is_some(), model.names.contains_key(&name));
                let Some(template) = template else { continue };
                let mut options = CloneOptions { ephemeral: true, ..CloneOptions::default() };
                match (dice.roll(4), template.record.derivation()) {
                    (0, Some(_)) => options.as_directory = true,
                    (1, Some(_)) => options.injections.push("/etc/hosts:/etc/hosts".parse().unwrap()),
                    (2, _) => options.strategy = Some(Strategy::Qcow2),
                    _ => {}
                }
                if model.clones.contains_key(&id) {
                    continue;
                }
                if dice.roll(3) == 0 {
                    let session = store.clone_for_session(&template, &vm(&id), &options).unwrap();
                    model.cloned(&session.record);
                    sessions.push(session);
                } else {
                    model.cloned(&store.clone_template(&template, &vm(&id), &options).unwrap().record);
                }
            }
            6 => {
                sessions.retain(|session| session.record.vm_id.as_str() != id);
                store.release(&vm(&id)).unwrap();
                model.clones.remove(&id);
            }
            7 => {
                let Some(clone) = store.find_clone(&vm(&id)).unwrap() else { continue };
                if clone.path.is_dir() {
                    continue;
                }
                let template = store.snapshot(&vm(&id), &name.parse().unwrap()).unwrap();
                model.templates.insert(template.record.id, (Vec::new(), None));
                model.names.insert(name, template.record.id);
            }
            8 => held.clear(),
            9 => {
                let Some(id) = model.names.get(&name).copied() else { continue };
                let alone = model.names.values().filter(|other| **other == id).count() == 1;
                let stood_on = model.clones.values().any(|(template, _)| *template == id);
                let removed = store.remove(&name);
                assert_eq!(removed.is_err(), alone && stood_on, "{removed:?}");
                assert!(removed.as_ref().is_err_and(in_the_way) == removed.is_err(), "{removed:?}");
                if removed.is_ok() {
                    model.names.remove(&name);
                    if alone && !held.iter().any(|held| held.record.id == id) {
                        model.templates.remove(&id);
                    }
                }
            }
            _ => {
                let Some(reference) = model.images.keys().next().cloned() else { continue };
                match store.remove(&reference) {
                    Ok(()) => drop(model.images.remove(&reference)),
                    Err(error) => assert!(in_the_way(&error) && !model.clones.is_empty(), "{error}"),
                }
            }
        }
        if dice.roll(4) == 0 {
            check(&store, &mut model, &held);
        }
    }
    check(&store, &mut model, &held);
    for session in &sessions {
        model.clones.remove(session.record.vm_id.as_str());
    }
    drop((sessions, held));
    check(&store, &mut model, &[]);
}

fn check(store: &Store, model: &mut Model, held: &[Template]) {
    collect(store);
    model.collect(&held.iter().collect::<Vec<_>>());
    let templates: BTreeSet<String> = model.templates.keys().map(ToString::to_string).collect();
    assert_eq!(list(store, "templates"), templates);
    assert_eq!(list(store, "layers"), model.packs());
    assert_eq!(list(store, "blobs/sha256"), model.blobs());
    assert_eq!(list(store, "clones"), model.clones.keys().cloned().collect());
    assert!(list(store, "tmp").is_empty() && list(store, "locks").is_empty());
    assert!(store.plan_collection(&AT_ONCE).unwrap().entries.is_empty(), "a second one finds nothing");
}

#[test]
fn what_stays_is_what_a_model_says() {
    let seeds = if soak() { 300 } else { 5 };
    for seed in 0..seeds {
        run(seed);
    }
}

/// Between its fork and its exec, a child has a copy of every lock's file.
#[test]
fn children_that_are_being_started_hold_nothing() {
    thread::scope(|scope| {
        let runs = scope.spawn(|| (0..5).for_each(run));
        while !runs.is_finished() {
            assert!(Command::new("true").status().unwrap().success());
        }
    });
}

/// Clones, or a lease, are what refuses a removal, and nothing else.
fn in_the_way(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict
}
