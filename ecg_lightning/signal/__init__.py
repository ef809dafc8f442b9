"""From a recording to its median beat."""
