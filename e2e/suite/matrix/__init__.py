"""The authorization matrix: who may do what to what is in which state, as a table, and what carries it out."""
