"""Sources of recordings, the cache of median beats, the splits and the datamodule."""
