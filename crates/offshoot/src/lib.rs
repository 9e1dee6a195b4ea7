//! OCI images in, microVM disks out.
