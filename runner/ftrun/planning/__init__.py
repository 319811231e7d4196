"""From TOML files to a plan whose every part is there and every setting sound; nothing heavy is imported."""
