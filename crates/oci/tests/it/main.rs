//! Names, documents, layouts and directories: tables, what other tools write and read, damage, and arbitrary bytes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod arbitrary;
mod archives;
mod configs;
mod directories;
mod docker_archives;
mod hostile_docker_archives;
mod image_names;
mod injections;
mod layouts;
mod local_builds;
mod local_programs;
mod local_storage;
mod manifests;
mod messages;
mod references;
mod registries;
mod registry_auth;
mod registry_blobs;
mod registry_credentials;
mod registry_documents;
mod registry_echoes;
mod registry_fixture;
mod registry_home;
mod registry_hosts;
mod registry_login;
mod registry_partials;
mod registry_tls;
mod selection;
mod sparse;
mod tarballs;
