"""NIR files: read, written, checked and flattened."""
