"""A sampled mutation run: do the unit tests notice a small change of the code? (`make mutants`)"""
