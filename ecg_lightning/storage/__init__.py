"""This package holds what lies on the disk: row stores with their manifests, whole files, hashes, and disk space."""
