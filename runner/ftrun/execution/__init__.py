"""A plan carried out: the story of a run, and all that it is made of."""
