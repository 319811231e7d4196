"""Figures and tables of a run, drawn in a process of their own: the only one with matplotlib."""
