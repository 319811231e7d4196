"""What a stranger begins with: a plugin's package, written from templates."""
