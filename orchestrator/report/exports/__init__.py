"""A study's findings as files for papers and programs: LaTeX, CSV, Parquet, JSON, pictures, a paragraph."""
