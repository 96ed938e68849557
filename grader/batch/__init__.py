"""Many submissions: found, graded once each, kept, reported. One hostile file harms neither another nor the run."""
