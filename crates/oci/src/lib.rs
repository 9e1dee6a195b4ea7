//! OCI references, platforms, manifests and the sources images come from.
