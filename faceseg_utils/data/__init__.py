"""From a dataset's name to pixels: what each dataset is, its files, the reader of photos, downloads, the check-list."""
