//! An OCI layer's tar stream becomes a pack, and a pack gives back its changes.
