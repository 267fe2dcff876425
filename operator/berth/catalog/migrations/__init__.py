"""The migrations of the catalog's schema, run by `Database.migrate` when the catalog starts."""
