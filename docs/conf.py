"""How Sphinx makes pages of this folder: `make docs`."""

project = "ftrun"
author = "The authors of ftrun"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "ftrun"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
templates_path: list[str] = []
exclude_patterns = ["_build"]
myst_heading_anchors = 3
