"""Here so that pytest puts this folder on the import path: the tests run on the sources, built or not."""
