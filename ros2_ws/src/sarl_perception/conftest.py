"""Here so that pytest, started in this package, puts its folder on the import path: tests run on the sources."""
