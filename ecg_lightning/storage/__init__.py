"""What lies on the disk: row stores with their manifests, whole files, hashes, and room for them."""
