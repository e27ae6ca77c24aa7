"""The motor firmware: C sources, how they are built, flashed and run on an emulated chip."""
