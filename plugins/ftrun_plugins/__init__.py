"""The built-in plugins of ftrun: a package a kind, found through the same entry points as anybody's."""
