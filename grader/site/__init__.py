"""The study site: questions, problems and errata as pages that need neither a network nor, for reading, JavaScript."""
