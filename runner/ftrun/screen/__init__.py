"""What a person sees: live bars and tables on a terminal, plain lines in a pipe or in CI."""
